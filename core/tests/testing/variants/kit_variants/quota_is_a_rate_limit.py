"""Takes an exhausted quota for something that waiting mends."""

from modelplug.errors import RateLimited
from modelplug.openai_wire import OpenAICompatible

plugin = OpenAICompatible(codes={"insufficient_quota": RateLimited})
