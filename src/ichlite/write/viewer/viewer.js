/** Shows one scan: its slices on a canvas, the chart as scroll bar, windows, overlay, keys, touch. */

import { around, bytesOf, fit, greysOf, HEAT, heat, held, ruler } from "./picture.js";
import { canvasOf, Pictures } from "./pictures.js";

const MOST_ZOOM = 12;
const KEY_MOVE = 40;
const PRINTED = 4;
const PRINT_SIDE = 384;
/** Pixels of the chart and its words, which stand below the stage. */
const SPACE_BELOW = 190;
const LEAST_HEIGHT = 340;

function clamp(value, low, high) {
  return Math.max(low, Math.min(high, value));
}

/** Shows a scan inside its section of the page. */
export class Viewer {
  /**
   * @param {Element} section - Holds `.still`, `.chart` and `.panel`; the viewer puts itself there.
   * @param {object} view - The scan's document (`StudyView`).
   * @param {Uint8Array} data - Its packed pictures and maps.
   * @param {Document} templates - Holds the templates `stage` and `controls`.
   */
  constructor(section, view, data, templates = document) {
    this.view = view;
    this.pictures = new Pictures(view, data);
    this.section = section;
    const still = section.querySelector(".still");
    still.parentNode.replaceChild(templates.getElementById("stage").content.cloneNode(true), still);
    const panel = section.querySelector(".panel");
    panel.insertBefore(
      templates.getElementById("controls").content.cloneNode(true),
      panel.firstChild,
    );
    this.stage = this.find(".stage");
    this.canvas = this.find(".picture");
    this.chart = this.find(".chart");
    this.zoom = 1;
    this.move = { x: 0, y: 0 };
    this.pointers = new Map();
    this.wheeled = 0;
    this.index = view.jumps[0].slice;
    this.jumped = 0;
    this.fillMarks();
    this.fillControls();
    this.fillJumps();
    this.fillScores();
    this.makeScrollBar();
    this.listen();
    this.setWindow(view.windows[0].centre_hu, view.windows[0].width_hu);
    this.resize();
    this.show(this.index);
  }

  find(selector) {
    return this.section.querySelector(selector);
  }

  fillMarks() {
    const sides = ["left", "right", "top", "bottom"];
    sides.forEach((side, at) => {
      this.find(`.mark.${side}`).textContent = this.view.marks ? this.view.marks[at] : "";
    });
  }

  fillControls() {
    const presets = this.find(".presets");
    this.view.windows.forEach((window, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = window.name;
      button.title = `level ${window.centre_hu}, width ${window.width_hu} HU, key ${at + 1}`;
      button.addEventListener("click", () => this.setWindow(window.centre_hu, window.width_hu));
      presets.appendChild(button);
    });
    const isLesion = this.view.map.kind === "lesion";
    if (!isLesion) this.find(".overlay legend").textContent = "Activation map";
    const colours = HEAT.filter(([at]) => at >= this.view.map.level).map((stop) => stop[0]);
    const stops = [this.view.map.level].concat(colours).map((at) => `rgb(${heat(at).join()})`);
    const scale = this.find(".scale");
    const bar = document.createElement("span");
    bar.style.background = `linear-gradient(90deg, ${stops.join()})`;
    scale.appendChild(document.createTextNode(isLesion ? "weaker " : "0 "));
    scale.appendChild(bar);
    scale.appendChild(document.createTextNode(isLesion ? " stronger" : " 1, relative"));
    const help = this.find(".help");
    help.id = `keys-${this.section.id}`;
    this.stage.setAttribute("aria-describedby", help.id);
    const name = `drag-${this.section.id}`;
    for (const radio of this.section.querySelectorAll(".drag input")) radio.name = name;
  }

  fillJumps() {
    const jumps = this.find(".jumps");
    this.view.jumps.forEach((jump, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.value = at;
      const [kind, ...where] = this.finding(jump);
      button.appendChild(document.createElement("b")).textContent = `${jump.slice + 1}: ${kind}`;
      button.appendChild(document.createTextNode(where.join(", ")));
      button.addEventListener("click", () => this.jumpTo(at));
      jumps.appendChild(button);
    });
  }

  /** Returns what the place to look at in a slice is most like, and where and how large it is. */
  finding(jump) {
    if (jump.cells === null) {
      return [`any ${this.view.slices[jump.slice].probabilities.any.toFixed(2)}`, "no mark"];
    }
    return [jump.subtype || "unclear kind", ...this.marked(jump)];
  }

  /** Returns on which side a mark is, and how large it is. */
  marked(mark) {
    const { rows, columns } = this.view.map;
    const { row_mm, column_mm } = this.view.pixels;
    const side = Math.max(this.view.pixels.rows, this.view.pixels.columns);
    const cm2 = (mark.cells * row_mm * column_mm * side * side) / (rows * columns * 100);
    const size =
      row_mm && column_mm ? `≈ ${cm2.toFixed(cm2 < 10 ? 1 : 0)} cm²` : `${mark.cells} cells`;
    return mark.side ? [mark.side, size] : [size];
  }

  fillScores() {
    const [head, ...rows] = this.section.querySelectorAll(".scores tr");
    const title = document.createElement("th");
    title.scope = "col";
    title.textContent = "this slice";
    head.appendChild(title);
    this.scores = rows.map((row) => row.appendChild(document.createElement("td")));
  }

  makeScrollBar() {
    const { chart } = this;
    this.cursor = document.createElement("span");
    this.cursor.className = "cursor";
    chart.appendChild(this.cursor);
    const attributes = {
      role: "slider",
      tabindex: 0,
      "aria-label": "Slice",
      "aria-orientation": "horizontal",
      "aria-valuemin": 1,
      "aria-valuemax": this.view.slices.length,
    };
    for (const name of Object.keys(attributes)) chart.setAttribute(name, attributes[name]);
  }

  listen() {
    const { stage, chart } = this;
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    chart.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    for (const element of [stage, chart]) {
      element.addEventListener("keydown", (event) => this.key(event));
    }
    stage.addEventListener("pointerdown", (event) => this.press(event));
    stage.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) {
      stage.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    }
    stage.addEventListener("pointerleave", () => this.say(".value", ""));
    stage.addEventListener("dblclick", () => this.fitHead());
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    chart.addEventListener("pointerdown", (event) => {
      chart.setPointerCapture(event.pointerId);
      this.scrollTo(event);
    });
    chart.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) this.scrollTo(event);
    });
    for (const name of ["level", "width"]) {
      this.find(`.windows .${name}`).addEventListener("input", () => this.typedWindow());
    }
    for (const name of ["shown", "opacity"]) {
      this.find(`.overlay .${name}`).addEventListener("input", () => this.draw());
    }
    for (const button of this.section.querySelectorAll(".zoom button")) {
      button.addEventListener("click", () => {
        if (button.value === "head") this.fitHead();
        else if (button.value === "in") this.setZoom(1.25 * this.zoom);
        else if (button.value === "out") this.setZoom(this.zoom / 1.25);
        else {
          this.zoom = 1;
          this.move = { x: 0, y: 0 };
          this.draw();
        }
      });
    }
    this.find(".panel").addEventListener("click", (event) => {
      // After a press of the pointer, keys go on to act on the pictures.
      if (event.detail > 0 && event.target.closest("button")) this.focus();
    });
    window.addEventListener("resize", () => this.resize());
  }

  focus() {
    this.stage.focus({ preventScroll: true });
  }

  typedWindow() {
    const level = Number(this.find(".windows .level").value);
    const width = Number(this.find(".windows .width").value);
    if (width >= 1) this.applyWindow(level, width);
  }

  setWindow(level, width) {
    this.applyWindow(Math.round(level), Math.max(1, Math.round(width)));
    this.find(".windows .level").value = this.level;
    this.find(".windows .width").value = this.width;
  }

  applyWindow(level, width) {
    this.level = level;
    this.width = width;
    this.greys = greysOf(this.pictures.hu, level, width);
    this.section.querySelectorAll(".presets button").forEach((button, at) => {
      const one = this.view.windows[at];
      button.setAttribute("aria-pressed", one.centre_hu === level && one.width_hu === width);
    });
    this.say(".window", `L ${level}  W ${width} HU`);
    this.draw();
  }

  /** Zooms, and leaves a place where it is: that of the pointer, else the largest mark. */
  setZoom(zoom, at = this.markFromMiddle()) {
    const before = this.zoom;
    this.zoom = clamp(zoom, 1, MOST_ZOOM);
    const share = this.zoom / before;
    this.move.x = at.x - share * (at.x - this.move.x);
    this.move.y = at.y - share * (at.y - this.move.y);
    this.draw();
  }

  /** Returns where the largest mark of the slice is, from the middle of the stage; else that. */
  markFromMiddle() {
    const [mark] = this.view.slices[this.index].marks || [];
    if (!mark || !this.find(".overlay .shown").checked) return { x: 0, y: 0 };
    const square = this.pictures.square(this.box);
    return {
      x: square.x + mark.at[1] * square.width - this.size.width / 2,
      y: square.y + mark.at[0] * square.height - this.size.height / 2,
    };
  }

  /** Makes the head as large as the stage allows. */
  fitHead() {
    Object.assign(this, this.headIn(this.size));
    this.draw();
  }

  /** Returns the zoom and the move that make the head as large as a stage allows. */
  headIn(stage) {
    const [top, bottom, left, right] = this.view.head;
    const square = this.pictures.square(fit(this.view.pixels, stage, 1, { x: 0, y: 0 }));
    const box = {
      x: square.x + left * square.width,
      y: square.y + top * square.height,
      width: (right - left) * square.width,
      height: (bottom - top) * square.height,
    };
    return around(box, stage);
  }

  moveBy(x, y) {
    this.move = { x: this.move.x + x, y: this.move.y + y };
    this.draw();
  }

  /** Makes the stage as high as the screen leaves beside what stands above it and the chart below. */
  fitScreen() {
    const { style } = this.stage;
    const box = (element) => element.getBoundingClientRect();
    const screen = document.documentElement.style.getPropertyValue("--screen");
    const top = box(this.stage).top;
    const rest = (parseFloat(screen) || window.innerHeight) - SPACE_BELOW;
    const inPage = rest - top - window.scrollY;
    const inSection = rest - (top - box(this.section).top);
    // Who followed a link to the scan has the page scrolled to it.
    const isAtTop = inPage >= LEAST_HEIGHT && location.hash === "";
    style.setProperty("--fit", `${Math.round(isAtTop ? inPage : inSection)}px`);
  }

  /** Fits the canvas to its place on the page, in pixels of the screen. */
  resize() {
    this.fitScreen();
    const { clientWidth, clientHeight } = this.stage;
    if (clientWidth === 0) return;
    const density = window.devicePixelRatio || 1;
    const first = !this.size;
    this.size = { width: clientWidth, height: clientHeight };
    this.density = density;
    if (first) this.fitHead();
    this.canvas.width = Math.round(clientWidth * density);
    this.canvas.height = Math.round(clientHeight * density);
    this.draw();
  }

  draw() {
    if (!this.size) return;
    const whole = fit(this.view.pixels, this.size, this.zoom, { x: 0, y: 0 });
    this.move = held(this.move, whole, this.size);
    this.box = fit(this.view.pixels, this.size, this.zoom, this.move);
    const context = this.canvas.getContext("2d");
    context.setTransform(this.density, 0, 0, this.density, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.size.width, this.size.height);
    const shown = this.find(".overlay .shown").checked;
    const opacity = shown ? this.find(".overlay .opacity").value / 100 : null;
    this.find(".here").hidden = !shown;
    let fault = "";
    try {
      this.pictures.draw(context, this.box, this.index, this.greys, opacity);
    } catch (error) {
      fault = `slice ${this.index + 1}: ${error.message}`;
      console.error(fault);
    }
    this.say(".fault", fault);
    this.drawRuler();
  }

  drawRuler() {
    const { column_mm, columns } = this.view.pixels;
    const length = column_mm
      ? ruler(this.box.width / (columns * column_mm), this.size.width)
      : null;
    const bar = this.find(".ruler");
    bar.hidden = length === null;
    if (length === null) return;
    bar.firstChild.style.width = `${length.width}px`;
    const text = `${length.cm} cm`;
    if (bar.lastChild === bar.firstChild) bar.appendChild(document.createTextNode(text));
    else bar.lastChild.nodeValue = text;
  }

  say(selector, text) {
    const place = this.find(selector);
    if (place.textContent !== text) place.textContent = text;
  }

  /** Shows a slice. */
  show(index) {
    const count = this.view.slices.length;
    this.index = clamp(index, 0, count - 1);
    const slice = this.view.slices[this.index];
    const where = slice.position_mm === null ? "" : `${slice.position_mm.toFixed(1)} mm`;
    const names = Object.keys(slice.probabilities);
    names.forEach((name, at) => {
      this.scores[at].textContent = slice.probabilities[name].toFixed(2);
    });
    const scores = ["any", slice.subtype].map(
      (name) => `${name} ${slice.probabilities[name].toFixed(2)}`,
    );
    if (slice.marks) {
      const here = slice.marks.map((mark) => this.marked(mark).join(" ")).join("; ");
      this.say(".here", here ? `marked here: ${here}` : "no mark here");
    }
    if (this.view.jumps[this.jumped].slice !== this.index) {
      const jumped = this.view.jumps.findIndex((jump) => jump.slice === this.index);
      if (jumped >= 0) this.jumped = jumped;
    }
    this.say(".corner.slice", [`${this.index + 1} / ${count}`, where, scores[0]].join("\n"));
    this.cursor.style.left = `${slice.place}%`;
    const words = `Slice ${this.index + 1} of ${count}: ${scores.join(", ")}`;
    this.chart.setAttribute("aria-valuenow", this.index + 1);
    this.chart.setAttribute("aria-valuetext", words);
    for (const button of this.section.querySelectorAll(".jumps button")) {
      const jump = this.view.jumps[button.value];
      button.setAttribute("aria-pressed", jump.slice === this.index);
    }
    clearTimeout(this.saying);
    this.saying = setTimeout(() => this.say(".said", words), 300);
    this.draw();
  }

  /** Shows the next or previous of the slices to look at first, counted from the last of them. */
  jump(step) {
    const { jumps } = this.view;
    const isThere = jumps[this.jumped].slice === this.index;
    const next = isThere || step > 0 ? this.jumped + step : this.jumped;
    this.jumpTo((next + jumps.length) % jumps.length);
  }

  jumpTo(at) {
    this.jumped = at;
    this.show(this.view.jumps[at].slice);
  }

  scrollTo(event) {
    const { left, width } = this.chart.getBoundingClientRect();
    const place = (100 * (event.clientX - left)) / width;
    const distance = (slice) => Math.abs(slice.place - place);
    const { slices } = this.view;
    const nearest = slices.reduce((best, slice) =>
      distance(slice) < distance(best) ? slice : best,
    );
    this.show(slices.indexOf(nearest));
  }

  /** Returns a place of the page from the middle of the stage. */
  fromMiddle(event) {
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    return { x: event.clientX - left - width / 2, y: event.clientY - top - height / 2 };
  }

  wheel(event) {
    event.preventDefault();
    if (event.ctrlKey) {
      this.setZoom(this.zoom * Math.exp(-event.deltaY / 250), this.fromMiddle(event));
      return;
    }
    // A notch of a wheel is a slice; a touch pad sends many small steps.
    const isNotch = event.deltaMode !== 0 || Math.abs(event.deltaY) >= 50;
    this.wheeled = isNotch ? Math.sign(event.deltaY) : this.wheeled + event.deltaY / 24;
    const steps = Math.trunc(this.wheeled);
    this.wheeled -= steps;
    if (steps !== 0) this.show(this.index - steps);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrows = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [1, 0], ArrowRight: [-1, 0] };
    if (event.shiftKey && arrows[event.key]) {
      this.moveBy(KEY_MOVE * arrows[event.key][0], KEY_MOVE * arrows[event.key][1]);
      event.preventDefault();
      return;
    }
    const window = this.view.windows[Number(event.key) - 1];
    const shown = this.find(".overlay .shown");
    const acts = {
      ArrowUp: () => this.show(this.index + 1),
      ArrowRight: () => this.show(this.index + 1),
      ArrowDown: () => this.show(this.index - 1),
      ArrowLeft: () => this.show(this.index - 1),
      PageUp: () => this.show(this.index + 5),
      PageDown: () => this.show(this.index - 5),
      Home: () => this.show(0),
      End: () => this.show(this.view.slices.length - 1),
      n: () => this.jump(1),
      p: () => this.jump(-1),
      o: () => {
        shown.checked = !shown.checked;
        this.draw();
      },
      "+": () => this.setZoom(1.25 * this.zoom),
      "=": () => this.setZoom(1.25 * this.zoom),
      "-": () => this.setZoom(this.zoom / 1.25),
      0: () => this.fitHead(),
    };
    const act = window
      ? () => this.setWindow(window.centre_hu, window.width_hu)
      : acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  press(event) {
    this.focus();
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.dragged = 0;
    if (event.button === 1) event.preventDefault();
  }

  drag(event) {
    const from = this.pointers.get(event.pointerId);
    if (!from) {
      this.readValue(event);
      return;
    }
    const to = { x: event.clientX, y: event.clientY };
    if (this.pointers.size === 2) this.pinch(event.pointerId, from, to);
    else if (this.pointers.size === 1)
      this.dragTool(this.tool(event), to.x - from.x, to.y - from.y);
    this.pointers.set(event.pointerId, to);
  }

  tool(event) {
    if (event.buttons & 2) return "window";
    if (event.buttons & 4) return "move";
    return this.find(".drag input:checked").value;
  }

  dragTool(tool, x, y) {
    if (tool === "move") {
      this.moveBy(x, y);
    } else if (tool === "window") {
      const share = Math.max(0.25, this.width / 300);
      this.setWindow(this.level + share * y, this.width + share * x);
    } else {
      const step = clamp(this.size.height / (1.2 * this.view.slices.length), 5, 24);
      this.dragged += -y / step;
      const steps = Math.trunc(this.dragged);
      this.dragged -= steps;
      if (steps !== 0) this.show(this.index + steps);
    }
  }

  pinch(pointer, from, to) {
    const ids = Array.from(this.pointers.keys());
    const other = this.pointers.get(ids[0] === pointer ? ids[1] : ids[0]);
    const apart = (one) => Math.hypot(one.x - other.x, one.y - other.y);
    const middle = { clientX: (to.x + other.x) / 2, clientY: (to.y + other.y) / 2 };
    this.move = { x: this.move.x + (to.x - from.x) / 2, y: this.move.y + (to.y - from.y) / 2 };
    this.setZoom((this.zoom * apart(to)) / Math.max(1, apart(from)), this.fromMiddle(middle));
  }

  /** Says the HU under the pointer: as they are from -200 to 400, beyond in the middle of a step. */
  readValue(event) {
    const { left, top } = this.stage.getBoundingClientRect();
    const { rows, columns } = this.view.pixels;
    const column = Math.floor(((event.clientX - left - this.box.x) / this.box.width) * columns);
    const row = Math.floor(((event.clientY - top - this.box.y) / this.box.height) * rows);
    const inside = row >= 0 && row < rows && column >= 0 && column < columns;
    const hu = this.pictures.hu[this.pictures.levels(this.index)[row * columns + column]];
    const about = hu >= -200 && hu < 400 ? "" : "≈ ";
    this.say(".value", inside ? `${about}${hu} HU` : "");
  }

  /** Drops the unpacked slices: another scan is looked at. */
  rest() {
    this.pictures.slices = [];
  }

  /** Returns the slices to look at first, without and with the map, for paper. */
  printed() {
    const figure = document.createElement("div");
    figure.className = "printed";
    const side = { width: PRINT_SIDE, height: PRINT_SIDE };
    const { zoom, move } = this.headIn(side);
    const box = fit(this.view.pixels, side, zoom, move);
    for (const jump of this.view.jumps.slice(0, PRINTED)) {
      const index = jump.slice;
      const pair = document.createElement("figure");
      for (const opacity of [null, 0.25]) {
        const canvas = pair.appendChild(canvasOf(PRINT_SIDE, PRINT_SIDE));
        const context = canvas.getContext("2d");
        context.fillRect(0, 0, PRINT_SIDE, PRINT_SIDE);
        this.pictures.draw(context, box, index, this.greys, opacity);
      }
      const caption = document.createElement("figcaption");
      const marks = this.view.marks ? `; left in the picture: ${this.view.marks[0]}` : "";
      caption.textContent =
        `slice ${index + 1} of ${this.view.slices.length}: ${this.finding(jump).join(", ")}; ` +
        `level ${this.level}, width ${this.width} HU${marks}`;
      pair.appendChild(caption);
      figure.appendChild(pair);
    }
    return figure;
  }
}

/** Shows the scan whose document and packed pictures stand inside its section. */
export function mount(section) {
  const view = JSON.parse(section.querySelector("script.view").textContent);
  const still = section.querySelector(".still");
  if (view.pixels === null) {
    still.textContent =
      "The pictures were left out: the page would be too large. Read this study by itself.";
    return null;
  }
  try {
    return new Viewer(section, view, bytesOf(section.querySelector("script.data").textContent));
  } catch (error) {
    still.textContent = `No pictures: ${error.message}`;
    throw error;
  }
}
