/** Shows times as this place has them; what the server wrote is UTC. */
const SHORT = { hour: "2-digit", minute: "2-digit" };
const LONG = { day: "numeric", month: "short", ...SHORT };
const OTHER_YEAR = { year: "numeric", ...LONG };

export function localTime(text, now = new Date()) {
  const at = new Date(text);
  if (at.toDateString() === now.toDateString()) return at.toLocaleTimeString(undefined, SHORT);
  const words = at.getFullYear() === now.getFullYear() ? LONG : OTHER_YEAR;
  return at.toLocaleString(undefined, words);
}

export function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = time.dateTime;
    time.textContent = localTime(time.dateTime);
  }
}

showTimes(document);
