// Puts the page together: three views of the agents, one search and three filters for all of them.
const shown = { changes: told, access: granted, keys: keyed };
const find = (id) => document.getElementById(id);
const views = {};

function makeViews() {
  const list = document.querySelector(".list");
  const matrix = document.querySelector(".matrix");
  const scroller = matrix.closest(".scroll");
  const timeline = document.querySelector(".keys");
  matrix.tHead.append(headOfAccess());
  matrix.style.width = `${270 + providers.length * 108}px`;
  views.changes = new Rows({
    home: list, height: isLong ? 42 : 110, make: changesOf,
    chunk: () => say(make("div", ""), { role: "none" }),
    gap: (chunk, height) => { chunk.style.height = `${height}px`; return []; },
  });
  views.access = new Rows({ home: matrix, scroller, height: 31, make: accessOf, ...tableChunks(providers.length + 1) });
  views.keys = new Rows({ home: timeline, height: 52, make: keysOf, ...tableChunks(2) });
}

let words = null;
function fits(row, at, asked, chosen) {
  if (chosen.kind !== null && !row.tags?.includes(chosen.kind)) return false;
  if (chosen.stage !== null && row.stage !== chosen.stage) return false;
  if (chosen.provider !== null && !row.access?.some((cell) => cell.provider === chosen.provider)) return false;
  return asked.every((word) => words[at].includes(word));
}

const numberOf = (id) => (find(id).value === "" ? null : Number(find(id).value));
let current = "changes";

function refresh() {
  words ??= rows.map(wordsOf);
  const asked = find("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = { kind: numberOf("kind"), provider: numberOf("provider"), stage: numberOf("stage") };
  const found = new Set(rows.filter((row, at) => fits(row, at, asked, chosen)));
  const all = { changes: told, access: granted, keys: keyed };
  for (const name of Object.keys(all)) {
    shown[name] = all[name].filter((row) => found.has(row));
    find(`tab-${name}`).querySelector(".count").textContent = shown[name].length.toLocaleString("en");
  }
  const isAsking = asked.length > 0 || Object.values(chosen).some((value) => value !== null);
  find("clear").hidden = !isAsking;
  draw();
}

function draw() {
  const members = shown[current];
  const all = { changes: told, access: granted, keys: keyed }[current].length;
  if (current === "keys") drawAxis();
  views[current].show(members);
  const view = find(`view-${current}`);
  sayNothing(view.querySelector(".nothing"), members.length > 0);
  view.querySelector("table")?.setAttribute("aria-rowcount", members.length + 1);
  find("shown").textContent = members.length === all ? many(all, "agent") : `${members.length.toLocaleString("en")} of ${many(all, "agent")}`;
}

/** Where nothing fits, where else something does. */
function sayNothing(place, isHidden) {
  place.hidden = isHidden;
  if (isHidden || !rows.length) return;
  const others = Object.keys(views).filter((name) => name !== current && shown[name].length);
  const links = others.map((name) => {
    const link = say(make("button", "link", `${find(`tab-${name}`).textContent}`), { type: "button" });
    link.addEventListener("click", () => choose(name, { withFocus: true }));
    return link;
  });
  place.querySelector("span")?.remove();
  if (links.length) place.append(make("span", "", " Elsewhere: ", ...links));
}

function choose(name, { withFocus = false } = {}) {
  current = name;
  for (const other of Object.keys(views)) {
    const tab = find(`tab-${other}`);
    tab.setAttribute("aria-selected", String(other === name));
    tab.tabIndex = other === name ? 0 : -1;
    find(`view-${other}`).hidden = other !== name;
    if (other !== name) views[other].show([]);
  }
  if (withFocus) find(`tab-${name}`).focus();
  draw();
}

function useTabs() {
  const names = Object.keys(views);
  for (const name of names) find(`tab-${name}`).addEventListener("click", () => choose(name));
  document.querySelector(".tabs").addEventListener("keydown", (event) => {
    const at = names.indexOf(current);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1 + names.length, Home: 0, End: names.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    choose(names[next % names.length], { withFocus: true });
  });
}

function useFilters() {
  find("find").addEventListener("input", refresh);
  for (const id of ["kind", "provider", "stage"]) {
    find(id).addEventListener("change", refresh);
    find(id).closest("label").hidden = find(id).options.length < 2;
  }
  const clear = () => {
    for (const id of ["find", "kind", "provider", "stage"]) find(id).value = "";
    refresh();
  };
  find("clear").addEventListener("click", () => { clear(); find("find").focus(); });
  for (const link of document.querySelectorAll("[data-kind]")) {
    link.addEventListener("click", () => {
      find("kind").value = link.dataset.kind;
      choose("changes");
      refresh();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
    event.preventDefault();
    find("find").focus();
  });
}

function useSpan() {
  const fitting = fittingSpan();
  for (const [words, days] of [...spans, ["everything", 0]]) find("span").append(new Option(words, days, false, days === fitting));
  find("span").addEventListener("change", () => { look(Number(find("span").value)); draw(); });
  look(fitting);
}

if (find("agents")) {
  document.documentElement.classList.add("js");
  makeViews();
  useTabs();
  useFilters();
  useSpan();
  // What sticks to the top takes room from what is scrolled to, and the head of a table sticks below it.
  new ResizeObserver(([entry]) => {
    document.documentElement.style.setProperty("--tools", `${Math.ceil(entry.target.offsetHeight)}px`);
  }).observe(document.querySelector(".tools"));
  refresh();
  // A page about access or keys alone begins with them.
  if (!told.length) choose(keyed.length ? "keys" : "access");
  addEventListener("beforeprint", () => { if (shown[current].length <= 500) views[current].fillAll(); });
}
