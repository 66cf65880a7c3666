// What lies over the report's spectrogram: attribution and mask.

const FOR = [255, 176, 46];
const AGAINST = [64, 156, 255];

function signed(value, digits = 3) {
  if (!Number.isFinite(value)) return 'none';
  const text = Math.abs(value) < 1e-3 && value !== 0 ? value.toExponential(1) : String(Number(value.toPrecision(digits)));
  return (value > 0 ? '+' : '') + text.replaceAll('-', '\u2212');
}

// Index of the cell that holds each place; -1 above the last cell. `full`: one cell covers all.
function cellFinder(centres, end) {
  const n = centres.length;
  const edges = [];
  for (let i = 0; i + 1 < n; i++) edges.push((centres[i] + centres[i + 1]) / 2);
  const last = n > 1 ? centres[n - 1] + (centres[n - 1] - centres[n - 2]) / 2 : Infinity;
  return (place) => {
    if (place > Math.max(last, end ?? 0)) return -1;
    let low = 0;
    let high = edges.length;
    while (low < high) { const mid = (low + high) >> 1; if (place >= edges[mid]) low = mid + 1; else high = mid; }
    return low;
  };
}

class Picture extends Spectrogram {
  constructor(page, canvas) {
    super(page, canvas);
    this.cellAtHz = cellFinder(page.frequencies);
    this.cellAtTime = cellFinder(page.times, page.duration);
    const size = Float32Array.from(page.attribution.data, Math.abs).filter(Number.isFinite).sort();
    const most = size.length ? size[size.length - 1] : 0;
    this.limit = size[Math.floor(0.995 * (size.length - 1))] || most || 1;
    this.capped = this.limit < most; // colours stop at the 99.5th percentile
  }

  draw(sound, axis, overlay, opacity) {
    super.draw(sound, axis);
    if (overlay === 'none' || opacity <= 0) return;
    const context = this.canvas.getContext('2d');
    context.globalAlpha = opacity;
    if (overlay === 'attribution') {
      context.drawImage(this.base(sound, axis, GREY, 'grey'), 0, 0);
      context.drawImage(this.image(`attribution:${axis.name}`, (...a) => this.paintAttribution(axis, ...a)), 0, 0);
    } else {
      context.drawImage(this.image(`mask:${axis.name}`, (...a) => this.paintMask(axis, ...a)), 0, 0);
    }
    context.globalAlpha = 1;
  }

  // For each pixel the cell it shows; `mix(values of a column's cells)` joins cells narrower than a pixel.
  cells(grid, axis, width, height, mix) {
    const [bands, frames] = grid.shape;
    const rowCell = Int32Array.from({ length: height }, (_, y) => this.cellAtHz(axis.from(1 - (y + 0.5) / height)));
    const starts = Int32Array.from({ length: width + 1 }, (_, x) => this.cellAtTime((x / width) * this.page.duration));
    const values = new Float32Array(bands * width);
    for (let b = 0; b < bands; b++) {
      for (let x = 0; x < width; x++) {
        const first = starts[x];
        const last = Math.min(frames, Math.max(first + 1, starts[x + 1]));
        let value = grid.data[b * frames + first];
        for (let t = first + 1; t < last; t++) value = mix(value, grid.data[b * frames + t], t - first);
        values[b * width + x] = Number.isFinite(value) ? value : 0;
      }
    }
    return { rowCell, values };
  }

  paintAttribution(axis, out, width, height) {
    const stronger = (a, b) => (Math.abs(b) > Math.abs(a) ? b : a);
    const { rowCell, values } = this.cells(this.page.attribution, axis, width, height, stronger);
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i += 4) {
        const value = rowCell[y] < 0 ? 0 : values[rowCell[y] * width + x] / this.limit;
        const colour = value > 0 ? FOR : AGAINST;
        out[i] = colour[0]; out[i + 1] = colour[1]; out[i + 2] = colour[2];
        out[i + 3] = 255 * Math.min(1, Math.abs(value)) ** 0.85 * 0.96;
      }
    }
  }

  paintMask(axis, out, width, height) {
    const mean = (a, b, n) => a + (b - a) / (n + 1);
    const { rowCell, values } = this.cells(this.page.mask, axis, width, height, mean);
    const at = (x, y) => (rowCell[y] < 0 ? 0 : values[rowCell[y] * width + x]);
    const [bands, frames] = this.page.mask.shape;
    const outline = width / frames >= 3 * this.ratio && height / bands >= 2 * this.ratio;
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i += 4) {
        const kept = at(x, y);
        out[i] = 14; out[i + 1] = 17; out[i + 2] = 22;
        out[i + 3] = 255 * (1 - kept) * 0.92;
        if (!outline || x + 1 >= width || y + 1 >= height) continue;
        if (kept > 0.5 !== at(x + 1, y) > 0.5 || kept > 0.5 !== at(x, y + 1) > 0.5) {
          out[i] = out[i + 1] = out[i + 2] = 255;
          out[i + 3] = 190;
        }
      }
    }
  }

  // What lies under a place: dB of the sound, attribution, mask (null outside the grid).
  read(sound, seconds, hz) {
    const [band, cell] = [this.cellAtHz(hz), this.cellAtTime(seconds)];
    const index = band * this.page.times.length + cell;
    const inside = band >= 0 && cell >= 0;
    return { ...super.read(sound, seconds, hz), attribution: inside ? this.page.attribution.data[index] : null, mask: inside ? this.page.mask.data[index] : null };
  }
}
