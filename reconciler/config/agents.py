"""Makes the desired agents, refusing what shows only after everything is merged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.config.combine import Combined
from reconciler.config.expand import Flat
from reconciler.config.findings import Findings, shown
from reconciler.config.lint import overlap_fits
from reconciler.config.settings import rotation_fields, rotation_policy
from reconciler.config.sink_refs import check_delivery
from reconciler.config.times import parse_duration, parse_moment
from reconciler.model.agent import AgentName
from reconciler.model.desired import DesiredAgent, RotationPolicy, SinkRef
from reconciler.model.diagnostic import Position
from reconciler.model.scopes import MAX_SCOPES_BYTES, Scopes
from reconciler.model.values import Json

MAX_NAME = 100
MAX_DISPLAY_NAME = 255
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(slots=True)
class AgentBuilder:
    """What all agents are judged by. ``now`` decides which ``ignore`` entries still count."""

    combined: Combined
    sinks: Mapping[str, SinkRef]
    now: datetime
    findings: Findings
    # Few of these differ in a large fleet.
    rotations: dict[str, RotationPolicy | None] = field(default_factory=dict)
    allowlists: dict[str, tuple[Scopes, int]] = field(default_factory=dict)

    def build(self, flats: Iterable[Flat]) -> dict[AgentName, DesiredAgent]:
        """The agents in order of their names."""
        agents: dict[AgentName, DesiredAgent] = {}
        for flat in flats:
            name = AgentName(flat.name)
            if name in agents:
                message = f"the agent {shown(name)} is declared here and at {agents[name].position}"
                hint = "Names are unique over all files, for_each included."
                self.findings.error("duplicate-agent", message, flat.at, hint=hint)
                continue
            agents[name] = self._agent(name, flat)
        return dict(sorted(agents.items()))

    def _agent(self, name: AgentName, flat: Flat) -> DesiredAgent:
        data = flat.data
        self._check_name(name, flat.at)
        display_name = data.get("display_name")
        if display_name is not None and len(display_name) > MAX_DISPLAY_NAME:
            message = (
                f"display_name has {len(display_name)} characters; at most {MAX_DISPLAY_NAME} are allowed"
            )
            self.findings.error("bad-text", message, flat.places["display_name"])
        grace, expiry = data.get("narrowing_grace"), data.get("expires_at")
        return DesiredAgent(
            name=name,
            scopes=self._scopes(flat),
            position=flat.at,
            type=data.get("type"),
            display_name=display_name,
            status=data.get("status", "active"),
            metadata=data.get("metadata", {}),
            policy=data.get("policy"),
            protect=data.get("protect"),
            expires_at=None if expiry is None else parse_moment(expiry, ends_day=True),
            rotation=self._rotation(flat),
            deliver_to=self._deliver_to(flat),
            ignore=self._ignore(flat),
            narrowing_grace=None if grace is None else parse_duration(grace),
            positions=flat.places,
        )

    def _check_name(self, name: AgentName, at: Position) -> None:
        if not _NAME.fullmatch(name):
            message = f"{shown(name)} cannot be the name of an agent"
            hint = "Use lower-case letters, digits, '-' and '_'; begin with a letter or a digit."
            near = re.sub("[^a-z0-9_-]+", "-", name.lower()).strip("-_")
            hint += f' Perhaps "{near}"?' if near and len(near) <= MAX_NAME else ""
            self.findings.error("bad-agent-name", message, at, hint=hint)
        elif len(name) > MAX_NAME:
            message = f"the name {shown(name)} has {len(name)} characters; at most {MAX_NAME} are allowed"
            self.findings.error("bad-agent-name", message, at)

    def _scopes(self, flat: Flat) -> Scopes:
        declared = flat.data.get("scopes")
        if declared is None:
            if not self._is_inheritance_broken():
                message = f"the agent {shown(flat.name)} declares no scopes, nor does what it inherits"
                hint = "Add `scopes`; `scopes: {}` means deny all."
                self.findings.error("scopes-missing", message, flat.at, hint=hint)
            return Scopes()
        key = repr(declared)
        if key not in self.allowlists:
            allowlist = Scopes.of(declared)
            self.allowlists[key] = allowlist, allowlist.size_bytes()
        scopes, size = self.allowlists[key]
        if size > MAX_SCOPES_BYTES:
            message = (
                f"the scopes are {size:,} bytes as compact JSON; Alter takes at most {MAX_SCOPES_BYTES:,}"
            )
            self.findings.error("scopes-too-large", message, flat.places.get("scopes", flat.at))
        return scopes

    def _rotation(self, flat: Flat) -> RotationPolicy | None:
        layers = flat.data.get("rotation")
        if layers is None:
            return None
        key = json.dumps(layers, sort_keys=True)
        if key not in self.rotations:
            fields = rotation_fields(layers, self.combined.policies)
            self.rotations[key] = None if fields is None else rotation_policy(fields)
            if fields is not None and isinstance(layers[-1], dict) and not overlap_fits(fields):
                low, high = fields.get("min_overlap", "24h"), fields.get("max_overlap", "14d")
                message = f"with what is inherited, min_overlap ({low}) is longer than max_overlap ({high})"
                self.findings.error("overlap-order", message, flat.places["rotation"])
        return self.rotations[key]

    def _deliver_to(self, flat: Flat) -> tuple[str, ...]:
        declared: Json = flat.data.get("deliver_to")
        if declared is None:
            if not self._is_inheritance_broken():
                message = f"the agent {shown(flat.name)} does not say where its keys are delivered"
                hint = (
                    "Add `deliver_to: [sink]`. `deliver_to: []` means that the plaintext of the first key is "
                    "discarded: nobody will ever hold it."
                )
                self.findings.error("deliver-to-missing", message, flat.at, hint=hint)
            return ()
        names = tuple(dict.fromkeys((declared,) if isinstance(declared, str) else declared))
        at = flat.places["deliver_to"]
        check_delivery(names, at, self.sinks, combined=self.combined, findings=self.findings)
        return names

    def _ignore(self, flat: Flat) -> frozenset[str]:
        fields: set[str] = set()
        for entry in flat.data.get("ignore", ()):
            if isinstance(entry, str):
                fields.add(entry)
                continue
            until = parse_moment(entry["until"], ends_day=True) if "until" in entry else None
            if until is None or self.now < until:
                fields.add(entry["field"])
            else:
                message = f"since {entry['until']} {shown(entry['field'])} is no longer ignored"
                hint = "Remove the entry, or give it a later day."
                self.findings.warning("ignore-expired", message, flat.places["ignore"], hint=hint)
        return frozenset(fields)

    def _is_inheritance_broken(self) -> bool:
        # Then the agent may well inherit the field: its absence says nothing.
        return self.combined.is_broken("defaults")
