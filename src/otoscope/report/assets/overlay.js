// What lies over the report's spectrogram: attribution and mask. Rows that have names are no bands of frequency: they are
// drawn as lanes of equal height, instead of the spectrogram.

const FOR = [255, 176, 46];
const AGAINST = [64, 156, 255];
const GROUND = [14, 17, 22];
const KEPT = [229, 80, 100];

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
    this.limit = (page.rows.length ? most : size[Math.floor(0.995 * (size.length - 1))]) || most || 1; // of few rows each counts
    this.capped = this.limit < most; // colours stop at the 99.5th percentile
  }

  draw(sound, axis, overlay, opacity) {
    super.draw(sound, axis);
    if (overlay === 'none' || opacity <= 0) return;
    const context = this.canvas.getContext('2d');
    context.globalAlpha = this.page.rows.length ? 1 : opacity; // no spectrogram may shine through: lanes are no frequencies
    if (this.page.rows.length) {
      context.drawImage(this.image(`lanes:${overlay}`, (...a) => this.paintLanes(overlay, ...a)), 0, 0);
      this.nameLanes(context, overlay);
    } else if (overlay === 'attribution') {
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

  lane(height) { // which row lies at a height between 0 and 1
    const n = this.page.rows.length;
    return Math.min(n - 1, Math.max(0, Math.floor(height * n)));
  }

  paintLanes(overlay, out, width, height) {
    const grid = this.page[overlay];
    const mix = overlay === 'mask' ? (a, b, n) => a + (b - a) / (n + 1) : (a, b) => (Math.abs(b) > Math.abs(a) ? b : a);
    const { values } = this.cells(grid, { from: () => 0 }, width, height, mix);
    for (let y = 0, i = 0; y < height; y++) {
      const lane = this.lane(1 - (y + 0.5) / height);
      const edge = y > 0 && lane !== this.lane(1 - (y - 0.5) / height);
      for (let x = 0; x < width; x++, i += 4) {
        const value = values[lane * width + x];
        const share = Math.min(1, overlay === 'mask' ? value : (Math.abs(value) / this.limit) ** 0.85);
        const colour = overlay === 'mask' ? KEPT : value > 0 ? FOR : AGAINST;
        for (let c = 0; c < 3; c++) out[i + c] = edge ? 70 : GROUND[c] + share * (colour[c] - GROUND[c]);
        out[i + 3] = 255;
      }
    }
  }

  laneText(overlay, row) { // the name, and the value if one holds for the whole sound
    const [, frames] = this.page[overlay].shape;
    const value = this.page[overlay].data[row * frames];
    const number = overlay === 'mask' ? value.toFixed(2) : signed(value);
    return frames > 1 ? this.page.rows[row] : `${this.page.rows[row]}   ${number}`;
  }

  nameLanes(context, overlay) {
    const { rows } = this.page;
    const high = this.canvas.height / rows.length;
    if (high < 9 * this.ratio) return; // no room: the readout names what is pointed at
    context.font = `${Math.min(13 * this.ratio, 0.8 * high)}px system-ui, sans-serif`;
    context.textBaseline = 'middle';
    context.lineWidth = 3 * this.ratio;
    context.lineJoin = 'round';
    context.strokeStyle = '#0e1116';
    context.fillStyle = '#ffffff';
    for (let row = 0; row < rows.length; row++) {
      const place = [this.laneText(overlay, row), 10 * this.ratio, this.canvas.height - (row + 0.5) * high];
      context.strokeText(...place);
      context.fillText(...place);
    }
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
    const lanes = this.page.rows.length > 0;
    if (lanes && view.overlay === 'none') return { ...super.read(sound, seconds, hz), attribution: null, mask: null };
    const band = lanes ? this.lane(axisOf(view.axis, this.page.top_hz).to(hz)) : this.cellAtHz(hz);
    const cell = this.cellAtTime(seconds);
    const index = band * this.page.times.length + cell;
    const inside = band >= 0 && cell >= 0;
    const row = lanes ? this.page.rows[band] : null;
    return { ...super.read(sound, seconds, hz), row, attribution: inside ? this.page.attribution.data[index] : null, mask: inside ? this.page.mask.data[index] : null };
  }
}
