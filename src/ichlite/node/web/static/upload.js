/** Sends chosen files one by one, each as it is, and lists what became of them. */
const AT_ONCE = 3;
const csrf = document.body.dataset.csrf;
const parts = Object.fromEntries(
  ["drop", "files", "folder", "progress", "progress-words", "bar", "stop", "studies"]
    .concat(["refused", "refused-words", "refused-list"])
    .map((id) => [id, document.getElementById(id)]),
);
const PASSED_OVER = /^(DICOMDIR|Thumbs\.db|\.DS_Store|\._.*|autorun\.inf)$/i;
let waiting = [];
const running = new Map();
let done = null;

function start() {
  done = { files: 0, bytes: 0, stored: 0, fresh: 0, passedOver: 0, refused: 0, studies: new Set() };
  parts.studies.replaceChildren();
  parts["refused-list"].replaceChildren();
  parts.refused.hidden = true;
  parts.progress.hidden = false;
  parts.stop.hidden = false;
}

function send(chosen) {
  const files = chosen.filter(({ file }) => !PASSED_OVER.test(file.name));
  if (running.size === 0 && waiting.length === 0) start();
  done.passedOver += chosen.length - files.length;
  done.files += files.length;
  done.bytes += files.reduce((sum, { file }) => sum + file.size, 0);
  waiting.push(...files);
  while (running.size < AT_ONCE && waiting.length > 0) next();
  show();
}

function next() {
  const { file, path } = waiting.shift();
  const request = new XMLHttpRequest();
  running.set(request, 0);
  request.open("POST", "/api/uploads");
  request.setRequestHeader("X-CSRF-Token", csrf);
  const zip = /\.zip$/i.test(file.name) || file.type === "application/zip";
  request.setRequestHeader("Content-Type", zip ? "application/zip" : "application/dicom");
  request.upload.addEventListener("progress", (event) => {
    running.set(request, event.loaded);
    show();
  });
  request.addEventListener("loadend", () => {
    running.delete(request);
    done.sent = (done.sent ?? 0) + file.size;
    if (request.readyState === 4 && request.status !== 0) note(request, path);
    else if (!done.stopped) refuse(path, "the connection broke off");
    if (waiting.length > 0) next();
    show();
  });
  request.send(file);
}

function note(request, path) {
  let answer = {};
  try {
    answer = JSON.parse(request.responseText);
  } catch {
    answer = { error: request.responseText.slice(0, 200) };
  }
  if (answer.error !== undefined) refuse(path, answer.error);
  done.stored += answer.stored ?? 0;
  done.fresh += answer.new ?? 0;
  done.passedOver += answer.passed_over ?? 0;
  for (const one of answer.refused ?? [])
    refuse(one.file ? `${path}: ${one.file}` : path, one.reason);
  for (const uid of answer.studies ?? []) {
    if (done.studies.has(uid)) continue;
    done.studies.add(uid);
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = `/studies/${uid}`;
    link.textContent = `Study ${uid}`;
    item.append(link);
    parts.studies.append(item);
  }
}

function refuse(path, reason) {
  done.refused += 1;
  const item = document.createElement("li");
  const name = document.createElement("b");
  name.textContent = path;
  item.append(name, ` ${reason}`);
  parts["refused-list"].append(item);
}

function show() {
  const left = waiting.length + running.size;
  const loaded = Array.from(running.values()).reduce((sum, bytes) => sum + bytes, done.sent ?? 0);
  parts.bar.value = done.bytes > 0 ? Math.min(1, loaded / done.bytes) : 1;
  const known = done.stored - done.fresh;
  const words = [
    left > 0 ? `${done.files - left} of ${done.files} sent` : done.stopped ? "Stopped" : "Done",
    `${done.stored} ${done.stored === 1 ? "image" : "images"} taken`,
  ];
  if (known > 0) words.push(`${known} of them were here already`);
  if (done.passedOver > 0) words.push(`${done.passedOver} passed over by name`);
  if (done.refused > 0) words.push(`${done.refused} not taken`);
  parts["progress-words"].textContent = words.join(" · ");
  parts["refused-words"].textContent = `Not taken: ${done.refused}`;
  parts.refused.hidden = done.refused === 0;
  parts.stop.hidden = left === 0;
}

parts.stop.addEventListener("click", () => {
  done.stopped = true;
  waiting = [];
  for (const request of running.keys()) request.abort();
});
for (const input of [parts.files, parts.folder]) {
  input.addEventListener("change", () => {
    send(Array.from(input.files, (file) => ({ file, path: file.webkitRelativePath || file.name })));
    input.value = "";
  });
}

async function walk(entry, path, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ file, path: path + file.name });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const one of some) await walk(one, `${path}${entry.name}/`, found);
  }
}

for (const kind of ["dragover", "dragleave", "drop"]) {
  parts.drop.addEventListener(kind, (event) => {
    event.preventDefault();
    parts.drop.classList.toggle("over", kind === "dragover");
  });
}
parts.drop.addEventListener("drop", async (event) => {
  const entries = Array.from(event.dataTransfer.items, (item) => item.webkitGetAsEntry()).filter(
    Boolean,
  );
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  send(found);
});
