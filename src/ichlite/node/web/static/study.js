/** Gives the viewer the height that it needs, and says when something new came for the study. */
const HIGHEST = 20000;
const BORDERS = 2;
const study = document.getElementById("study");
const news = document.getElementById("news");
const frame = document.getElementById("report");

if (frame) {
  const tell = () => frame.contentWindow.postMessage({ ichliteScreen: window.innerHeight }, "*");
  window.addEventListener("message", (event) => {
    if (event.source !== frame.contentWindow) return;
    const height = Number(event.data?.ichliteHeight);
    if (!(height > 0)) return;
    frame.style.height = `${Math.min(Math.ceil(height) + BORDERS, HIGHEST)}px`;
  });
  frame.addEventListener("load", tell);
  window.addEventListener("resize", tell);
  tell();
}

async function look() {
  const answer = await fetch(`/studies/${study.dataset.study}/state`, {
    credentials: "same-origin",
  });
  if (!answer.ok) return;
  const now = await answer.json();
  const same =
    now.state === study.dataset.state &&
    String(now.version) === study.dataset.version &&
    String(now.read) === study.dataset.read;
  if (same) return;
  if (study.dataset.report) news.hidden = false;
  else location.reload();
}

const events = new EventSource("/events");
events.addEventListener("ready", look);
events.addEventListener("changed", look);
events.addEventListener("over", () => location.reload());
window.addEventListener("pagehide", () => events.close());
