// Who may do what: agents by providers, with what each gains and loses.
const providers = data.providers || [];
const granted = rows.filter((row) => row.access);
const openAccess = new Set();

function headOfAccess() {
  const line = make("tr", "", say(make("th", "", "Agent"), { scope: "col" }));
  line.append(...providers.map((number) => say(make("th", "", make("bdi", "", text(number))), { scope: "col" })));
  return line;
}

const held = (cell, list, at) => (cell[list]?.length || 0) + (cell.more?.[at] || 0);

function cellOf(cell) {
  if (!cell) return make("td", "none", "·");
  const [kept, gained, lost] = [held(cell, "kept", 0), held(cell, "gained", 1), held(cell, "lost", 2)];
  const box = make("td", `some${gained ? " more" : lost ? " less" : ""}`, String(kept + gained));
  if (gained) box.append(make("b", "gain", `+${gained}`));
  if (lost) box.append(make("b", "loss", `−${lost}`));
  return tipped(box, () => [make("div", "dim", text(cell.provider)), ...pillsOf(cell).map((pill) => make("div", "", pill))]);
}

function pillsOf(cell) {
  const more = cell.more || [];
  return scopesOf(cell.gained || [], cell.lost || [], more.slice(1), cell.kept || [], more[0]);
}

function detailOfAccess(row) {
  const list = make("dl", "");
  for (const cell of row.access) {
    list.append(make("dt", "", make("bdi", "", text(cell.provider))), make("dd", "", ...pillsOf(cell)));
  }
  const box = make("td", "", list);
  box.colSpan = providers.length + 1;
  return make("tr", "detail", box);
}

function accessOf(row, at) {
  const cells = new Map(row.access.map((cell) => [cell.provider, cell]));
  const line = say(make("tr", ""), { "aria-rowindex": at + 2 });
  const toggle = (open) => {
    if (open) line.after(detailOfAccess(row));
    else line.nextSibling.remove();
    openAccess[open ? "add" : "delete"](row);
  };
  const head = say(make("th", "", opener(row, openAccess.has(row), toggle)), { scope: "row" });
  if (row.status !== undefined) head.append(" ", make("span", "pill", text(row.status)));
  line.append(head, ...providers.map((number) => cellOf(cells.get(number))));
  return openAccess.has(row) ? [line, detailOfAccess(row)] : [line];
}
