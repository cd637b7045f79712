/** Holds the pictures of one scan, unpacked as they are looked at, and draws them with their maps. */

import { inflate } from "./inflate.js";
import { huOfLevels, outline, paint, paintMap, unpackSlice } from "./picture.js";

const MAP_SIDE = 128;
const OUTLINE = "#ffe14d";

/** Returns a canvas that stands nowhere on the page. */
export function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/** The pictures of a scan, unpacked as they are looked at. */
export class Pictures {
  constructor(view, data) {
    this.view = view;
    this.spec = view.pixels;
    this.hu = huOfLevels(this.spec.levels);
    this.parts = [];
    let at = 0;
    for (const size of this.spec.bytes) {
      this.parts.push(data.subarray(at, at + size));
      at += size;
    }
    this.slices = [];
    this.cellsEach = view.map.rows * view.map.columns;
    this.maps = inflate(this.parts[view.slices.length], view.slices.length * this.cellsEach);
    this.map = canvasOf(MAP_SIDE, MAP_SIDE);
    this.canvas = canvasOf(this.spec.columns, this.spec.rows);
    this.image = this.canvas.getContext("2d").createImageData(this.spec.columns, this.spec.rows);
  }

  levels(index) {
    if (!this.slices[index]) {
      this.slices[index] = unpackSlice(this.parts[index], this.spec.rows, this.spec.columns);
    }
    return this.slices[index];
  }

  cells(index) {
    return this.maps.subarray(index * this.cellsEach, (index + 1) * this.cellsEach);
  }

  /** Draws a slice, and its map over it, into a box of a canvas. */
  draw(context, box, index, greys, opacity) {
    paint(this.levels(index), greys, this.image);
    this.canvas.getContext("2d").putImageData(this.image, 0, 0);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.canvas, box.x, box.y, box.width, box.height);
    if (opacity !== null) this.drawMap(context, box, index, opacity);
  }

  drawMap(context, box, index, opacity) {
    const cells = this.cells(index);
    const map = this.view.map;
    if (!cells.some((value) => (value + 0.5) / 256 >= map.level)) return;
    const mapContext = this.map.getContext("2d");
    const image = mapContext.createImageData(MAP_SIDE, MAP_SIDE);
    paintMap(cells, map, image);
    mapContext.putImageData(image, 0, 0);
    const { x, y, width, height } = this.square(box);
    context.save();
    context.beginPath();
    context.rect(box.x, box.y, box.width, box.height);
    context.clip();
    context.globalAlpha = opacity;
    context.drawImage(this.map, x, y, width, height);
    context.globalAlpha = 1;
    context.beginPath();
    const across = width / map.columns;
    const down = height / map.rows;
    for (const [fromX, fromY, toX, toY] of map.level > 0 ? outline(cells, map) : []) {
      context.moveTo(x + fromX * across, y + fromY * down);
      context.lineTo(x + toX * across, y + toY * down);
    }
    context.lineCap = "round";
    for (const [style, thick] of [
      ["rgba(0, 0, 0, 0.6)", 3.5],
      [OUTLINE, 1.5],
    ]) {
      context.strokeStyle = style;
      context.lineWidth = thick;
      context.stroke();
    }
    context.restore();
  }

  /** Returns where the square lies that the map covers: the picture is in its middle. */
  square(box) {
    const { rows, columns } = this.spec;
    const side = Math.max(rows, columns);
    const width = (box.width * side) / columns;
    const height = (box.height * side) / rows;
    return {
      x: box.x - (width - box.width) / 2,
      y: box.y - (height - box.height) / 2,
      width,
      height,
    };
  }
}
