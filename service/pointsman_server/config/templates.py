"""Chat templates of a configuration: those in files are read once, at load; each must compile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pointsman_server.config.faults import Path
from pointsman_server.config.files import FileFault, read_text
from pointsman_server.config.schema import ChatTemplate, Config

MAX_TEMPLATE_BYTES = 256 * 1024

CheckTemplate = Callable[[str], str]
"""What is wrong with a template's text, with its line; empty when nothing is."""


class Templates:
    """The texts of one configuration's templates."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = dict(files)
        """By the path that is written."""

    def text(self, template: ChatTemplate) -> str:
        """Its text; every template of the loaded configuration is there."""
        return template.text if template.text is not None else self.files[str(template.file)]


def templates_of(config: Config) -> Iterator[tuple[Path, ChatTemplate]]:
    """Every template with its path."""
    for name, model in config.models.items():
        if model.chat_template is not None:
            yield ("models", name, "chat_template"), model.chat_template
        for position, target in enumerate(model.targets):
            if target.chat_template is not None:
                yield ("models", name, "targets", position, "chat_template"), target.chat_template


def read_templates(config: Config, check: CheckTemplate) -> tuple[Templates, list[tuple[Path, str]]]:
    """The texts, and what is wrong with them."""
    files: dict[str, str] = {}
    findings: list[tuple[Path, str]] = []
    for path, template in templates_of(config):
        key = "text" if template.file is None else "file"
        text, fault = template.text or "", ""
        if template.file is not None:
            try:
                text = files[template.file] = read_text(template.file, MAX_TEMPLATE_BYTES)
            except FileFault as unusable:
                fault = str(unusable)
        if fault := fault or check(text):
            findings.append(((*path, key), fault))
    return Templates(files), findings
