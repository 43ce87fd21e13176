// The data of the page and how it becomes elements. Texts are numbers into `strings`; text is only ever text.
const data = JSON.parse(document.getElementById("data")?.textContent || "{}");
const rows = data.agents || [];
const text = (number) => (number === undefined || number === null ? "" : data.strings[number]);

/** An element of a class; children are elements or strings, which become text. Nothing is ever parsed. */
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

function drawn(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function say(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const day = 86_400;
const now = data.seen;
const many = (count, one, more = one + "s") => `${count.toLocaleString("en")} ${count === 1 ? one : more}`;
const clock = (seconds) =>
  seconds === undefined ? "" : new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC";

/** How far from the moment that the report shows: "in 9 d", "3 h ago". */
function distance(seconds) {
  const apart = Math.abs(seconds - now);
  const long = apart >= 2 * day ? `${Math.round(apart / day)} d`
    : apart >= 3600 ? `${Math.round(apart / 3600)} h` : `${Math.round(apart / 60)} min`;
  return seconds >= now ? `in ${long}` : `${long} ago`;
}

// What is a number and not a text, wherever it stands.
const numbers = new Set(["rank", "more", "refused", "until", "at", "used", "due", "minted", "deprecated",
  "revoked", "quiet", "delivered", "retryable"]);

/** Everything that a search of this row looks at, in lower case. */
function wordsOf(row) {
  const found = [];
  const collect = (part) => {
    if (typeof part === "number") found.push(text(part));
    else if (Array.isArray(part)) part.forEach(collect);
    else if (part && typeof part === "object") {
      for (const [name, value] of Object.entries(part)) if (!numbers.has(name)) collect(value);
    }
  };
  collect(row);
  for (const number of row.refused || []) collect(data.refusals[number].guard);
  return found.join("\n").toLowerCase();
}
