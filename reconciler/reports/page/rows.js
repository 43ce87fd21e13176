// A list of thousands of rows: elements exist only for the chunks in view and a little around them.
const chunkSize = 25;

class Rows {
  /** `make` turns a row into elements; `chunk` makes an empty chunk; `gap` holds a chunk's place in it. */
  constructor({ home, scroller = null, height, make: makeRow, chunk, gap }) {
    Object.assign(this, { home, height, makeRow, chunk, gap, chunks: new Map() });
    this.watch = new IntersectionObserver((entries) => this.seen(entries), { root: scroller, rootMargin: "700px 0px" });
  }

  show(found) {
    this.watch.disconnect();
    for (const chunk of this.chunks.keys()) chunk.remove();
    this.chunks.clear();
    for (let start = 0; start < found.length; start += chunkSize) {
      const chunk = this.chunk();
      const members = found.slice(start, start + chunkSize);
      this.chunks.set(chunk, { members, start, isFull: false });
      if (start === 0) this.fill(chunk);
      else this.empty(chunk, members.length * this.height);
      this.home.append(chunk);
      this.watch.observe(chunk);
    }
  }

  seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const state = this.chunks.get(target);
      if (!state || state.isFull === isIntersecting) continue;
      if (isIntersecting) this.fill(target);
      // What has the focus stays: taking it away would throw a keyboard back to the top.
      else if (!target.contains(document.activeElement) && target.offsetParent !== null) {
        this.empty(target, target.getBoundingClientRect().height);
      }
    }
  }

  fill(chunk) {
    const state = this.chunks.get(chunk);
    state.isFull = true;
    chunk.replaceChildren(...state.members.flatMap((row, at) => this.makeRow(row, state.start + at)));
    chunk.style.height = "";
  }

  empty(chunk, height) {
    this.chunks.get(chunk).isFull = false;
    chunk.replaceChildren(...this.gap(chunk, height));
  }

  /** For paper, which does not scroll. */
  fillAll() {
    for (const [chunk, state] of this.chunks) if (!state.isFull) this.fill(chunk);
  }
}

/** A chunk of a table: its place is held by one cell, because a body has no height of its own. */
const tableChunks = (columns) => ({
  chunk: () => make("tbody", ""),
  gap: (_chunk, height) => {
    const cell = make("td", "");
    cell.colSpan = columns; // exactly: one more would be a column that takes room
    cell.style.height = `${height}px`;
    return [say(make("tr", "gap", cell), { "aria-hidden": "true" })];
  },
});

/** The button that opens and closes a row. `isOpen` is asked for, because rows come and go. */
function opener(row, isOpen, toggle) {
  const name = make("span", "name", text(row.name));
  const button = say(make("button", "open", name), { type: "button", "aria-expanded": String(isOpen) });
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
    toggle(open);
  });
  return button;
}

/** A box at the pointer with more than fits; what it says is also in the opened row. */
const tips = new WeakMap();
const tip = document.getElementById("tip");
document.addEventListener("mouseover", (event) => {
  const owner = event.target.closest?.("[data-tip]");
  const lines = owner && tips.get(owner);
  tip.hidden = !lines;
  if (!lines) return;
  tip.replaceChildren(...lines());
  const at = owner.getBoundingClientRect();
  const left = Math.min(Math.max(event.clientX - 20, 8), innerWidth - tip.offsetWidth - 8);
  const below = at.bottom + 6 + tip.offsetHeight < innerHeight;
  tip.style.left = `${left}px`;
  tip.style.top = `${below ? at.bottom + 6 : Math.max(at.top - tip.offsetHeight - 6, 8)}px`;
});
addEventListener("scroll", () => { tip.hidden = true; }, { capture: true, passive: true });
function tipped(element, lines) {
  element.setAttribute("data-tip", "");
  tips.set(element, lines);
  return element;
}
