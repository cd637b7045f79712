/** Keeps the worklist as it is now: asks for the rows again when the node says that they changed. */
import { showTimes } from "./page.js";

const PAUSE_MS = 1000;
const live = document.getElementById("live");
const news = document.getElementById("news");
let asked = 0;
let again = null;
let busy = false;

function say(words, on) {
  live.classList.toggle("on", on);
  if (live.textContent !== words) live.textContent = words;
}

function keyed(root) {
  return new Map(Array.from(root.querySelectorAll("[data-key]"), (row) => [row.dataset.key, row]));
}

/** Put the new rows in place of the old ones; a row that is the same stays, and keeps its focus. */
function patch(fresh) {
  const old = document.getElementById("rows");
  const before = keyed(old);
  const focused = document.activeElement;
  const key = focused?.closest("[data-key]")?.dataset.key;
  const place = focused && old.contains(focused) ? focused.getAttribute("href") : null;
  showTimes(fresh);
  for (const [name, row] of keyed(fresh)) {
    const was = before.get(name);
    if (was?.innerHTML === row.innerHTML && was.className.startsWith(row.className))
      row.replaceWith(was);
    else if (row.classList.contains("study")) row.classList.add("fresh");
  }
  const urgent = Number(fresh.dataset.urgent) - Number(old.dataset.urgent);
  const total = Number(fresh.dataset.total);
  old.replaceWith(fresh);
  if (place !== null && document.activeElement !== focused) {
    const rows = key === undefined ? fresh : keyed(fresh).get(key);
    const link = Array.from(rows?.querySelectorAll("a") ?? []).find(
      (a) => a.getAttribute("href") === place,
    );
    link?.focus({ preventScroll: true });
  }
  if (urgent > 0)
    news.textContent = urgent === 1 ? "One more urgent study" : `${urgent} more urgent studies`;
  document.title = `${fresh.dataset.urgent === "0" ? "" : `(${fresh.dataset.urgent}) `}ichlite node`;
  say(`${total === 1 ? "1 study" : `${total} studies`}, live`, true);
}

async function refresh() {
  if (busy) return soon();
  busy = true;
  asked = Date.now();
  try {
    const answer = await fetch(`/worklist${location.search}`, { credentials: "same-origin" });
    if (answer.redirected) location.reload();
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    patch(document.adoptNode(page.getElementById("rows")));
  } catch {
    say("not live: the node does not answer", false);
  } finally {
    busy = false;
  }
}

function soon() {
  if (again !== null) return;
  again = setTimeout(
    () => {
      again = null;
      refresh();
    },
    Math.max(0, asked + PAUSE_MS - Date.now()),
  );
}

const events = new EventSource("/events");
events.addEventListener("ready", soon);
events.addEventListener("changed", soon);
events.addEventListener("over", () => location.reload());
events.addEventListener("error", () => say("not live: trying again", false));
window.addEventListener("pagehide", () => events.close());
