// What happens to each agent: steps as a diff, what became of them, what guards refuse, what waits, what drifted.
const tones = { "-2": "bad", "-1": "warn", 0: "bad", 1: "warn", 2: "calm", 3: "quiet", 6: "blocked" };
const signs = { done: "✓ done", failed: "✗ failed", "not tried": "· not tried" };
const severities = { high: "bad", medium: "warn", low: "calm" };
const told = rows.filter((row) => row.steps || row.refused || row.waiting || row.findings);
// In a long list, agents that gain and lose nothing say what they are about in one line, until somebody asks.
const isLong = told.length > 200;
const opened = new Map();
const isOpen = (row) => opened.get(row) ?? !(isLong && row.rank >= 3);

function scopesOf(gained, lost, more = [], kept = [], leftOut = 0) {
  const pill = (sign, kind) => (number) => make("bdi", `scope ${kind}`, sign + text(number));
  const rest = (count, sign) => (count ? [make("span", "dim", `${sign}${count} more`)] : []);
  return [...kept.map(pill("", "")), ...rest(leftOut, "and "), ...gained.map(pill("+ ", "gain")), ...rest(more[0], "+ "),
    ...lost.map(pill("− ", "loss")), ...rest(more[1], "− ")];
}

function changeOf(change) {
  const to = make("div", "to");
  if (change.gained) {
    const pills = scopesOf(change.gained, change.lost, change.more);
    to.append(...(pills.length ? pills : [make("span", "dim", "none: may do nothing")]));
  } else if ("where" in change) {
    const where = text(change.where);
    to.append(make("span", "value new", where ? "mint a key and deliver it to " : "mint a key", make("bdi", "", where)));
  } else {
    const [before, after] = [change.before, change.after];
    if (before !== null) to.append(make("bdi", "value old", (after === null ? "− " : "") + text(before)));
    if (before !== null && after !== null) to.append(make("span", "dim", "→"));
    if (after !== null) to.append(make("bdi", "value new", (before === null ? "+ " : "") + text(after)));
    if (before === null && after === null) to.append(make("span", "dim", "no value"));
  }
  if (change.cause !== undefined) to.append(make("span", "pill t-warn", text(change.cause)));
  return make("div", "change", make("bdi", "path", text(change.path)), to);
}

function stepOf(step, at, steps) {
  const parts = [];
  const isOne = steps.length === 1;
  const before = steps[at - 1];
  // Fields and scopes of one agent are two steps of one update, and look like it.
  const goesOn = before && ["label", "reason", "status", "detail", "key"].every((name) => before[name] === step[name]);
  const status = text(step.status);
  const words = [isOne ? "" : make("b", "", text(step.label)), step.key === undefined ? "" : make("code", "", text(step.key)),
    make("bdi", "", text(step.reason)), make("bdi", "", text(step.detail))].filter((word) => word.textContent);
  const reason = make("p", "reason", ...words.flatMap((word, place) => (place ? [" · ", word] : [word])));
  if (status) reason.append(" ", make("span", `pill s-${status.replace(" ", "-")}`, signs[status]));
  if (!goesOn) parts.push(reason);
  parts.push(...(step.changes || []).map(changeOf));
  if (step.failure) parts.push(failureOf(step.failure));
  return parts;
}

function failureOf(failure) {
  const note = make("div", "note t-bad", make("bdi", "strong", `${text(failure.message)} [${text(failure.code)}]`));
  if (failure.hint !== undefined) note.append(make("bdi", "", text(failure.hint)));
  if (failure.retryable) note.append("The same command may succeed later, without any change.");
  return note;
}

function refusalOf(number) {
  const refusal = data.refusals[number];
  const kinds = (refusal.kinds || []).map(text).join(", ");
  const head = make("b", "", `Blocked by ${text(refusal.guard)}`, kinds ? `: ${kinds}` : "");
  const note = make("div", "note t-blocked", head, make("bdi", "", text(refusal.reason)));
  note.append(refusal.command === undefined ? "Nothing lets this through." : make("code", "command", text(refusal.command)));
  return note;
}

function waitingOf(entry) {
  const until = entry.until === undefined ? "" : `, until ${clock(entry.until)} (${distance(entry.until)})`;
  return make("p", "reason", make("span", "pill", text(entry.stage)), " ", make("bdi", "", text(entry.reason)), until);
}

function findingOf(finding) {
  const severity = text(finding.severity);
  const head = make("p", "reason", make("span", `pill t-${severities[severity] || "quiet"}`, severity), " ",
    make("b", "", text(finding.kind)));
  if (finding.key !== undefined) head.append(" ", make("code", "", text(finding.key)));
  if (finding.message !== undefined) head.append(" · ", make("bdi", "", text(finding.message)));
  const parts = [head, ...(finding.changes || []).map(changeOf)];
  if (finding.who !== undefined) {
    parts.push(make("p", "reason", "by ", make("b", "", make("bdi", "", text(finding.who))),
      ` at ${clock(finding.at)} (`, make("bdi", "", text(finding.action)), ")"));
  }
  return parts;
}

function bodyOf(row) {
  const steps = row.steps || [];
  const body = make("div", "body", ...steps.flatMap(stepOf));
  body.append(...(row.refused || []).map(refusalOf), ...(row.findings || []).flatMap(findingOf),
    ...(row.waiting || []).map(waitingOf));
  return body;
}

function changesOf(row, at) {
  const agent = say(make("div", "agent"), { role: "listitem", "aria-posinset": at + 1, "aria-setsize": shown.changes.length });
  const sign = text(row.sign) || (row.refused ? "×" : row.findings ? "!" : "·");
  const head = make("div", "head", make("span", `sign t-${tones[row.rank] || "quiet"}`, sign.replace("-", "−")));
  head.firstChild.setAttribute("aria-hidden", "true");
  head.append(opener(row, isOpen(row), (open) => {
    opened.set(row, open);
    if (open) agent.append(bodyOf(row));
    else agent.lastChild.remove();
  }));
  head.append(make("span", "title", text(row.title) || (row.refused ? "blocked" : "waiting")));
  for (const [tag, tone] of marks) if (row.tags?.some((number) => text(number) === tag)) head.append(make("span", `pill t-${tone}`, tag));
  if (!isOpen(row)) {
    const paths = (row.steps || []).flatMap((step) => (step.changes || []).map((change) => text(change.path)));
    head.append(make("bdi", "dim", paths.join(", ")));
  }
  if (row.source !== undefined) head.append(make("bdi", "source", text(row.source)));
  agent.append(head);
  if (isOpen(row)) agent.append(bodyOf(row));
  return [agent];
}
const marks = [["revocation", "bad"], ["widening", "warn"], ["narrowing", "calm"], ["blocked", "blocked"],
  ["failed", "bad"], ["not tried", "warn"]];
