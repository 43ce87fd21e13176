// The life of every key, on one axis: minted, used, quiet, deprecated, revoked, and when the next is due.
const keyed = rows.filter((row) => row.keys);
const openKeys = new Set();
const spans = [["30 days", 30], ["90 days", 90], ["180 days", 180], ["a year", 365], ["2 years", 730]];
const oldest = keyed.reduce((least, row) => row.keys.reduce((so, key) => Math.min(so, key.minted), least), now);
const latest = keyed.reduce((most, row) => Math.max(most, row.due || 0, row.until || 0), now);
const shownKeys = 6;
let from = now - 90 * day;
let to = now + 30 * day;

/** A place on the axis in percent. */
const place = (moment) => Math.min(Math.max(((moment - from) / (to - from)) * 100, 0), 100);
const percent = (moment) => `${place(moment).toFixed(2)}%`;

function look(days) {
  const before = days ? days * day : Math.max(now - oldest, day);
  from = now - before * 1.02;
  // As much of the time to come as there is something in, up to half of what is past.
  to = now + Math.min(Math.max(latest - now, before * 0.08), before * 0.5) * 1.04;
}

/** The shortest span that shows the beginning of nine keys in ten. */
function fittingSpan() {
  const ages = keyed.flatMap((row) => row.keys.map((key) => (now - key.minted) / day)).sort((a, b) => a - b);
  const most = ages[Math.floor(ages.length * 0.9)] ?? 0;
  return (spans.find(([, days]) => days * 1.1 >= most) || ["", 0])[1];
}

function ticks() {
  const steps = [1, 2, 7, 14, 30.4375, 60.875, 91.3125, 182.625, 365.25, 730.5, 3652.5];
  // As many as there is room for the words of.
  const room = Math.max(Math.floor((document.querySelector(".axis").clientWidth || 800) / 80), 2);
  const step = day * (steps.find((days) => (to - from) / (days * day) <= room) || 36525);
  const found = [];
  if (step < 28 * day) for (let at = Math.ceil(from / step) * step; at < to; at += step) found.push(at);
  else {
    const months = Math.round(step / (30.4375 * day));
    const first = new Date(from * 1000);
    const start = Math.ceil((first.getUTCFullYear() * 12 + first.getUTCMonth() + 1) / months) * months;
    for (let month = start; ; month += months) {
      const at = Date.UTC(Math.floor(month / 12), month % 12) / 1000;
      if (at >= to) break;
      found.push(at);
    }
  }
  const form = step < 28 * day ? { day: "numeric", month: "short" } : { month: "short", year: "numeric" };
  const label = new Intl.DateTimeFormat("en-GB", { ...form, timeZone: "UTC" });
  return found.map((at) => [at, label.format(new Date(at * 1000))]);
}

const upright = (moment, className, height) =>
  drawn("line", { class: className, x1: percent(moment), x2: percent(moment), y1: 0, y2: height });

function drawAxis() {
  lifeOf.ticks = ticks();
  document.querySelector(".axis").replaceChildren(make("span", "hidden", "Keys in time"), axis());
}

function axis() {
  const box = drawn("svg", { height: 27, "aria-hidden": "true" });
  const label = (at, words, className) => drawn("text", { x: percent(at), dx: 4, y: 18, class: className }, words);
  const pixels = (document.querySelector(".axis").clientWidth || 800) / 100;
  for (const [at, words] of lifeOf.ticks) {
    box.append(upright(at, "tick", 27));
    // Neither two words on one place, nor one that the edge cuts.
    const [left, right] = [place(at) * pixels, (100 - place(at)) * pixels];
    const fromNow = left - place(now) * pixels;
    if (right > 66 && (fromNow > 32 || fromNow < -66)) box.append(label(at, words, ""));
  }
  box.append(upright(now, "today", 27), label(now, "now", "now"));
  return box;
}

function bar(className, start, end, y, height) {
  const [left, right] = [place(start), place(end)];
  return drawn("rect", { class: className, x: `${left.toFixed(2)}%`, width: `${Math.max(right - left, 0.25).toFixed(2)}%`, y, height, rx: 2 });
}

function diamond(moment, y, isLate) {
  const inner = drawn("path", { class: isLate ? "due late" : "due", d: "M0 -5 L5 0 L0 5 L-5 0 Z" });
  return drawn("svg", { x: percent(moment), y, overflow: "visible" }, inner);
}

function drawKey(key, row, y) {
  const group = drawn("g", {});
  const end = key.revoked ?? now;
  const quiet = Math.min(Math.max(key.quiet ?? key.minted, key.minted), end);
  const edge = Math.min(key.deprecated ?? end, end);
  const kind = `${key.delivered ? "delivered" : "other"}${key.revoked ? " past" : ""}`;
  const part = (className, start, stop) => {
    // Thick while it was in use, thin since it is quiet.
    if (quiet > start) group.append(bar(className, start, Math.min(quiet, stop), y + 3, 10));
    if (quiet < stop) group.append(bar(className, Math.max(start, quiet), stop, y + 6.5, 3));
  };
  if (end > from) {
    part(kind, key.minted, edge);
    if (edge < end) part(`deprecated${key.revoked ? " past" : ""}`, edge, end);
    if (key.used && key.used >= from) group.append(drawn("circle", { class: "use", cx: percent(key.used), cy: y + 8, r: 3 }));
  }
  if (key.revoked && key.revoked >= from) group.append(drawn("rect", { class: "end", x: percent(key.revoked), y: y + 1, width: 2.5, height: 14 }));
  const next = key.delivered && !key.revoked ? row.due : key.revoked ? undefined : key.until;
  if (next > now) group.append(drawn("line", { class: "wait", x1: percent(now), x2: percent(next), y1: y + 8, y2: y + 8 }));
  if (key.delivered && !key.revoked && row.due && row.due <= to) group.append(diamond(Math.max(row.due, from), y + 8, row.due <= now));
  return tipped(group, () => factsOf(key, row).map(([name, value]) => make("div", "", make("span", "dim", `${name}: `), value)));
}

const stateOf = (key) => [key.delivered && !key.revoked ? "held by sinks" : "", key.revoked ? "revoked" : key.deprecated ? "deprecated" : "active"]
  .filter(Boolean).join(", ");
const moment = (seconds) => (seconds === undefined ? "" : `${clock(seconds)} (${distance(seconds)})`);
const useOf = (key) => (key.used !== undefined ? moment(key.used) : key.quiet === undefined ? "unknown" : "never");
const nextOf = (key) => [text(key.next), text(key.reason), key.until === undefined ? "" : `until ${clock(key.until)}`].filter(Boolean).join(" · ");

function factsOf(key, row) {
  const due = key.delivered && !key.revoked ? moment(row.due) : "";
  return [["Key", text(key.prefix) || text(key.id)], ["State", stateOf(key)], ["Minted", moment(key.minted)],
    ["Deprecated", moment(key.deprecated)], ["Revoked", moment(key.revoked)], ["Last used", useOf(key)],
    ["Quiet since", key.revoked ? "" : moment(key.quiet) || "unknown"], ["Due", due], ["Next", key.revoked ? "" : nextOf(key)]]
    .filter(([, value]) => value);
}

function lifeOf(row) {
  const alive = row.keys.filter((key) => !key.revoked || key.revoked >= from);
  const keys = (alive.length ? alive : row.keys.slice(-1)).slice(-shownKeys);
  const height = Math.max(keys.length * 16 + 4, 49);
  const words = row.keys.map((key) => factsOf(key, row).map(([name, value]) => `${name} ${value}`).join(", ")).join("; ");
  const box = drawn("svg", { height, role: "img", "aria-label": `${many(row.keys.length, "key")}: ${words}` });
  for (const [at] of lifeOf.ticks) box.append(upright(at, "tick", height));
  box.append(upright(now, "today", height));
  const top = (height - keys.length * 16) / 2;
  keys.forEach((key, at) => box.append(drawKey(key, row, top + at * 16)));
  return box;
}

function detailOfKeys(row) {
  const names = ["Key", "State", "Minted", "Deprecated", "Revoked", "Last used", "Quiet since", "Next"];
  const head = make("tr", "", ...names.map((name) => say(make("th", "", name), { scope: "col" })));
  const lines = row.keys.map((key) => {
    const facts = new Map(factsOf(key, row));
    const first = say(make("th", "", make("code", "", text(key.prefix)), " ", make("code", "dim", text(key.id))), { scope: "row" });
    return make("tr", "", first, ...names.slice(1).map((name) => make("td", "", make("bdi", "", facts.get(name) || "–"))));
  });
  const table = make("table", "lives", make("caption", "hidden", `Keys of ${text(row.name)}`), make("thead", "", head), make("tbody", "", ...lines));
  const box = make("td", "", make("div", "wide", table));
  const due = row.due === undefined ? "" : `Due ${moment(row.due)}. `;
  if (row.why !== undefined || due) box.prepend(make("p", "reason", due, make("bdi", "", text(row.why))));
  box.colSpan = 2;
  return make("tr", "detail", box);
}

function keysOf(row, at) {
  const line = say(make("tr", ""), { "aria-rowindex": at + 2 });
  const toggle = (open) => {
    if (open) line.after(detailOfKeys(row));
    else line.nextSibling.remove();
    openKeys[open ? "add" : "delete"](row);
  };
  const head = say(make("th", "", opener(row, openKeys.has(row), toggle)), { scope: "row" });
  const stage = text(row.stage);
  const next = row.due === undefined ? "" : ` due ${distance(row.due)}`;
  const tone = { due: "warn", overdue: "bad", orphaned: "warn", retiring: "calm", observing: "calm", steady: "good" }[stage] || "quiet";
  head.append(make("span", "when", stage ? make("span", `pill t-${tone}`, stage) : "", next));
  line.append(head, make("td", "life", lifeOf(row)));
  return openKeys.has(row) ? [line, detailOfKeys(row)] : [line];
}
