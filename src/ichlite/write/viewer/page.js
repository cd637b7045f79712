/** Shows one scan of the page at a time, the one that is chosen in the worklist; prints all. */
import { mount } from "./viewer.js";

const sections = Array.from(document.querySelectorAll("section.scan"));
const links = Array.from(document.querySelectorAll(".triage a"));
const viewers = new Map();
let shown = null;

function viewerOf(section) {
  if (!viewers.has(section)) {
    viewers.set(section, null); // stays, where it cannot be shown
    viewers.set(section, mount(section));
  }
  return viewers.get(section);
}

function choose(focus) {
  const chosen = document.getElementById(location.hash.slice(1));
  const section = sections.includes(chosen) ? chosen : sections[0];
  if (!section || section === shown) return;
  if (shown && viewers.get(shown)) viewers.get(shown).rest();
  shown = section;
  for (const one of sections) one.hidden = one !== section;
  for (const link of links) {
    const isShown = link.getAttribute("href") === `#${section.id}`;
    link.parentNode.parentNode.classList.toggle("shown", isShown);
    if (isShown) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  const viewer = viewerOf(section);
  if (!viewer) return;
  viewer.resize();
  if (focus) viewer.focus();
}

/** In the frame of another page: tells it how high this one is, and is told how high its screen is. */
function fitFrame(root) {
  root.classList.add("framed");
  const tell = () => window.parent.postMessage({ ichliteHeight: root.offsetHeight }, "*");
  window.addEventListener("message", (event) => {
    const height = event.source === window.parent ? Number(event.data?.ichliteScreen) : 0;
    if (!(height > 0)) return;
    root.style.setProperty("--screen", `${height}px`);
    tell();
  });
  new ResizeObserver(tell).observe(root);
}

window.addEventListener("hashchange", () => choose(true));
window.addEventListener("beforeprint", () => {
  for (const section of sections) {
    const viewer = viewerOf(section);
    if (!viewer) continue;
    section.querySelector(".screen").appendChild(viewer.printed());
    if (section !== shown) viewer.rest();
  }
});
window.addEventListener("afterprint", () => {
  for (const printed of document.querySelectorAll(".printed")) printed.remove();
});
document.documentElement.classList.add("live");
choose(window.parent === window);
if (window.parent !== window) fitFrame(document.documentElement);
