"""YAML as nodes, so that each value has its line; imported only where a YAML file is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from modelplug.config.documents import Document, Keys, Part, Tree
from modelplug.errors import BadConfig

# libyaml where PyYAML was built with it: eight times as fast, the same errors.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_yaml(document: Document, part: Part) -> Tree:
    """The nodes of *part*; its values are made when one is asked for."""
    _refuse_depth(document, part)
    try:
        root = yaml.compose(part.text, Loader=_Loader)
        return _YamlTree(document, part, root)
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        raise _fault(document, part, exc) from exc


_DEPTH = 500
_BRACKET = re.compile(r"[\[\]{}]")
_STEPS = re.compile(rf"^\s*(?:[-?:]\s){{{_DEPTH}}}", re.M)


def _refuse_depth(document: Document, part: Part) -> None:
    """libyaml ends the process at some 10,000 lists in lists (PyYAML 6.0.3, seen 2026-11)."""
    depth = deepest = 0
    for match in _BRACKET.finditer(part.text):
        depth += 1 if match[0] in "[{" else -1
        if depth > deepest:
            deepest, at = depth, match.start()
    if deepest <= _DEPTH and (steps := _STEPS.search(part.text)) is None:
        return
    start = at if deepest > _DEPTH else steps.start() if steps else 0
    line = part.before + part.text.count("\n", 0, start) + 1
    raise document.fault(line, f"nested more than {_DEPTH} deep", "write it flat")


def _fault(document: Document, part: Part, exc: Exception) -> BadConfig:
    mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
    if mark is not None:
        line = part.before + int(mark.line) + 1
    else:  # a character that YAML does not allow has a position alone
        position = getattr(exc, "position", 0)
        line = part.before + part.text.count("\n", 0, position) + 1
    what = getattr(exc, "problem", None) or getattr(exc, "reason", None) or str(exc)
    mend = "mend that line, or put the value in quotes"
    return document.fault(line, f"this is not YAML: {what or type(exc).__name__}", mend)


class _YamlTree(Tree):
    def __init__(self, document: Document, part: Part, root: Node | None) -> None:
        self._document = document
        self._part = part
        self._nodes: dict[str, tuple[Node, Node]] = {}
        if root is not None and not _is_nothing(root):
            if not isinstance(root, MappingNode):
                what = "a config map is a mapping of names of models to entries"
                raise document.fault(self._line_of(root), what, "write `name:` and its fields")
            self._index(root)
        super().__init__(_Values(self), part.before + 1)

    def _index(self, root: MappingNode) -> None:
        for key, value in root.value:
            name, line = key.value, self._line_of(key)
            if not isinstance(key, ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                what = "a model's name is a text"
                shown = name[:80] if isinstance(name, str) else "(a key)"
                raise self._document.fault(line, what, "put it in quotes", shown)
            if name in self._nodes:
                first = self._line_of(self._nodes[name][0])
                what = f"{name!r} is there twice, first in line {first}"
                raise self._document.fault(line, what, "make the entries one list", name)
            self._nodes[name] = key, value

    def _line_of(self, node: Node) -> int:
        return self._part.before + int(node.start_mark.line) + 1

    @property
    def names(self) -> list[str]:
        return list(self._nodes)

    def construct(self, name: str) -> Any:
        key, node = self._nodes[name]
        try:
            self._refuse_twins(node, name, set())
            return SafeConstructor().construct_object(node, deep=True)
        except (yaml.YAMLError, RecursionError, ValueError, TypeError) as exc:
            # ValueError: a date or a number that is none, such as 2026-99-99.
            if getattr(exc, "problem_mark", None) is None:
                line, what = self._line_of(key), str(exc) or type(exc).__name__
                mend = "put the value in quotes"
                raise self._document.fault(line, what, mend, name) from exc
            raise _fault(self._document, self._part, exc) from exc

    def _refuse_twins(self, node: Node, at: str, seen: set[int]) -> None:
        """PyYAML takes the last of two equal keys without a word."""
        if id(node) in seen or not isinstance(node, MappingNode | SequenceNode):
            return
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            for item in node.value:
                self._refuse_twins(item, at, seen)
            return
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = self._line_of(key)
            if isinstance(key, ScalarNode) and key.value != "<<":
                if key.value in lines:
                    what = f"{key.value!r} is there twice, first in line {lines[key.value]}"
                    raise self._document.fault(line, what, "keep one", f"{at}.{key.value}")
                lines[key.value] = line
            self._refuse_twins(value, at, seen)

    def line(self, keys: Keys) -> int:
        if keys[:1] == () or keys[0] not in self._nodes:
            return self.first
        key, node = self._nodes[str(keys[0])]
        line = self._line_of(key)
        for step in keys[1:]:
            found = _step(node, step)
            if found is None:
                break
            line, node = self._line_of(found[0]), found[1]
        return line


def _step(node: Node, step: str | int) -> tuple[Node, Node] | None:
    """(where it is told, its value) of one item."""
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    if isinstance(node, MappingNode):
        # The last: what a merge (`<<`) brings stands before the mapping's own.
        for key, value in reversed(node.value):
            if isinstance(key, ScalarNode) and key.value == step:
                return key, value
    return None


def _is_nothing(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag == "tag:yaml.org,2002:null"


class _Values(Mapping[str, Any]):
    """The values of a tree, each made at its first use."""

    def __init__(self, tree: _YamlTree) -> None:
        self._tree = tree

    @cached_property
    def _made(self) -> dict[str, Any]:
        return {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._tree._nodes:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = self._tree.construct(name)
        return self._made[name]

    def __iter__(self) -> Any:
        return iter(self._tree.names)

    def __len__(self) -> int:
        return len(self._tree.names)
