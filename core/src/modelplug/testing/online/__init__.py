"""The parts of `OnlineContract`, each a class of tests about one subject."""
