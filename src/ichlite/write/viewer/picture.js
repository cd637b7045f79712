/** Turns packed slices and maps into pictures: pure functions, which know nothing of a page. */
import { inflate } from "./inflate.js";

/** Colours of the map: dark violet to yellow, growing steadily lighter, so that grey prints read. */
export const HEAT = [
  [0, 92, 16, 110],
  [0.4, 200, 50, 70],
  [0.7, 246, 130, 20],
  [1, 252, 230, 90],
];

/** Returns the bytes that a base64 text stands for. */
export function bytesOf(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/** Returns the HU that each level stands for: the middle of its range. */
export function huOfLevels(ranges) {
  const hu = [];
  for (const [first, step, count] of ranges) {
    for (let index = 0; index < count; index++) hu.push(first + index * step + (step >> 1));
  }
  return Int16Array.from(hu);
}

/** Unpacks a slice into levels: the median of left, above, and left + above - corner, is added. */
export function unpackSlice(data, rows, columns) {
  const count = rows * columns;
  const planes = inflate(data, 2 * count);
  const levels = new Int16Array(count);
  const above = new Int16Array(columns + 1);
  for (let row = 0, at = 0; row < rows; row++) {
    let left = 0;
    let corner = 0;
    for (let column = 1; column <= columns; column++, at++) {
      const up = above[column];
      const low = Math.min(left, up);
      const likely = Math.max(low, Math.min(left + up - low, left + up - corner));
      const folded = planes[at] | (planes[count + at] << 8);
      left = likely + ((folded >> 1) ^ -(folded & 1));
      levels[at] = left;
      corner = up;
      above[column] = left;
    }
  }
  return levels;
}

/** Returns the grey, as an opaque pixel, of each level in a window. */
export function greysOf(hu, level, width) {
  const low = level - width / 2;
  const pixels = new Uint32Array(hu.length);
  for (let at = 0; at < hu.length; at++) {
    const grey = Math.round(255 * Math.min(1, Math.max(0, (hu[at] - low) / width)));
    pixels[at] = (0xff000000 | (grey * 0x010101)) >>> 0;
  }
  return pixels;
}

/** Paints levels into the bytes of an image of the same size. */
export function paint(levels, greys, image) {
  const pixels = new Uint32Array(image.data.buffer);
  for (let at = 0; at < levels.length; at++) pixels[at] = greys[levels[at]];
}

/** Returns the colour of a value in [0, 1], as red, green and blue. */
export function heat(value) {
  let stop = 1;
  while (stop < HEAT.length - 1 && value > HEAT[stop][0]) stop++;
  const from = HEAT[stop - 1];
  const to = HEAT[stop];
  const share = (value - from[0]) / (to[0] - from[0]);
  return [1, 2, 3].map((at) => Math.round(from[at] + share * (to[at] - from[at])));
}

/** Returns the value of a map, linear between the centres of its cells, at a place in cells. */
export function valueAt(cells, rows, columns, y, x) {
  const row = Math.min(rows - 1, Math.max(0, y - 0.5));
  const column = Math.min(columns - 1, Math.max(0, x - 0.5));
  const r = Math.min(Math.floor(row), Math.max(rows - 2, 0));
  const c = Math.min(Math.floor(column), Math.max(columns - 2, 0));
  const down = Math.min(r + 1, rows - 1);
  const right = Math.min(c + 1, columns - 1);
  const upper =
    cells[r * columns + c] * (1 - column + c) + cells[r * columns + right] * (column - c);
  const lower =
    cells[down * columns + c] * (1 - column + c) + cells[down * columns + right] * (column - c);
  return (upper * (1 - row + r) + lower * (row - r) + 0.5) / 256;
}

/** Paints a map of bytes where it reaches a level, the surer the less transparent. */
export function paintMap(cells, map, image) {
  const { width, height, data } = image;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      const place = [((y + 0.5) / height) * map.rows, ((x + 0.5) / width) * map.columns];
      const value = valueAt(cells, map.rows, map.columns, ...place);
      const [red, green, blue] = heat(value);
      data[at] = red;
      data[at + 1] = green;
      data[at + 2] = blue;
      data[at + 3] = value < map.level ? 0 : Math.round(127 + 128 * value);
    }
  }
}

/** Returns the outline of where a map reaches a level, as lines [x, y, x, y] in cells. */
export function outline(cells, map) {
  const level = map.level;
  const lines = [];
  const at = (row, column) => valueAt(cells, map.rows, map.columns, row + 0.5, column + 0.5);
  const cut = (a, b) => (level - a) / (b - a);
  // Squares between the centres of four cells; beyond the outer ones the map is flat.
  for (let row = -1; row < map.rows; row++) {
    for (let column = -1; column < map.columns; column++) {
      const a = at(row, column);
      const b = at(row, column + 1);
      const c = at(row + 1, column + 1);
      const d = at(row + 1, column);
      const crossings = [];
      if (a >= level !== b >= level) crossings.push([column + cut(a, b), row]);
      if (b >= level !== c >= level) crossings.push([column + 1, row + cut(b, c)]);
      if (c >= level !== d >= level) crossings.push([column + cut(d, c), row + 1]);
      if (d >= level !== a >= level) crossings.push([column, row + cut(a, d)]);
      for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
        const [[x, y], [u, v]] = [crossings[pair], crossings[pair + 1]];
        lines.push([x + 0.5, y + 0.5, u + 0.5, v + 0.5]);
      }
    }
  }
  return lines;
}

/** Returns how large a picture of pixels that need not be square is drawn in a stage, and where. */
export function fit(pixels, stage, zoom, move) {
  const ratio = pixels.row_mm && pixels.column_mm ? pixels.row_mm / pixels.column_mm : 1;
  const scale = zoom * Math.min(stage.width / pixels.columns, stage.height / (pixels.rows * ratio));
  const width = scale * pixels.columns;
  const height = scale * ratio * pixels.rows;
  return {
    x: (stage.width - width) / 2 + move.x,
    y: (stage.height - height) / 2 + move.y,
    width,
    height,
  };
}

/** Share of the stage that the head fills: beside it is room for the letters of the sides. */
const FILLED = 0.93;

/** Returns the zoom and the move by which a box of the whole picture fills the stage. */
export function around(box, stage) {
  const most = FILLED * Math.min(stage.width / box.width, stage.height / box.height);
  const zoom = Math.max(1, Math.min(3, most));
  return {
    zoom,
    move: {
      x: zoom * (stage.width / 2 - box.x - box.width / 2),
      y: zoom * (stage.height / 2 - box.y - box.height / 2),
    },
  };
}

/** Returns a move that leaves as much of the picture on the stage as there is room for. */
export function held(move, box, stage) {
  const x = Math.abs(box.width - stage.width) / 2;
  const y = Math.abs(box.height - stage.height) / 2;
  return { x: Math.max(-x, Math.min(x, move.x)), y: Math.max(-y, Math.min(y, move.y)) };
}

/** Returns a length of round centimetres that fills about a fifth of a stage, and its pixels. */
export function ruler(pixelsPerMm, stageWidth) {
  for (const cm of [10, 5, 2, 1, 0.5, 0.2, 0.1]) {
    const width = 10 * cm * pixelsPerMm;
    if (width <= stageWidth / 3.2) return { cm, width };
  }
  return null;
}
