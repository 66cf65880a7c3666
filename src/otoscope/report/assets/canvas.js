// The pictures: colour maps, frequency axes, ticks, waveform, spectrogram and its overlays.

const MAGMA = table(['#000004', '#1c1044', '#4f127b', '#812581', '#b5367a', '#e55064', '#fb8761', '#fec287', '#fcfdbf']);
const GREY = table(['#040405', '#212327', '#9a9da3']);
const FOR = [255, 176, 46];
const AGAINST = [64, 156, 255];

function table(anchors) { // 256 colours between evenly spaced anchors
  const rgb = anchors.map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  const out = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (rgb.length - 1);
    const low = Math.min(Math.floor(place), rgb.length - 2);
    for (let c = 0; c < 3; c++) out[3 * i + c] = rgb[low][c] + (place - low) * (rgb[low + 1][c] - rgb[low][c]);
  }
  return out;
}

function gradient(colours) {
  const stops = [];
  for (let i = 0; i < 256; i += 15) stops.push(`rgb(${colours[3 * i]},${colours[3 * i + 1]},${colours[3 * i + 2]})`);
  return `linear-gradient(90deg,${stops.join(',')})`;
}

// A frequency axis is a monotone map Hz -> [0, 1] and its inverse.
function axisOf(name, top) {
  const hzToMel = (hz) => Math.log1p(hz / 700);
  const low = Math.max(20, top / 1000) < top / 4 ? Math.max(20, top / 1000) : top / 100;
  const axes = {
    linear: { to: (hz) => hz / top, from: (u) => u * top },
    log: { to: (hz) => Math.log(Math.max(hz, low) / low) / Math.log(top / low), from: (u) => low * (top / low) ** u },
    mel: { to: (hz) => hzToMel(hz) / hzToMel(top), from: (u) => 700 * Math.expm1(u * hzToMel(top)) },
  };
  return { ...axes[name], name, low: name === 'log' ? low : 0, top };
}

function niceStep(span, count) {
  const raw = span / Math.max(1, count);
  const unit = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].find((m) => m * unit >= raw * 0.999) * unit;
}

function frequencyTicks(axis, height) {
  let wanted = [];
  if (axis.name === 'linear') {
    const step = niceStep(axis.top, height / 44);
    for (let hz = 0; hz <= axis.top * 1.0001; hz += step) wanted.push(hz);
  } else {
    const base = axis.name === 'log' ? [1, 2, 5] : [1, 2, 4, 8];
    const decades = axis.name === 'log' ? [1, 10, 100, 1000, 10000, 100000] : [0.125, 2, 32, 512, 8192].map((d) => d * 125);
    wanted = decades.flatMap((d) => base.map((m) => m * d)).concat(0).sort((a, b) => a - b);
    if (axis.name === 'mel') wanted = [0, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000];
  }
  const kept = [];
  for (const hz of wanted) {
    if (hz < axis.low || hz > axis.top) continue;
    const y = (1 - axis.to(hz)) * height;
    if (!kept.length || kept[kept.length - 1].y - y >= 18) kept.push({ hz, y });
  }
  return kept;
}

function formatHz(hz, digits = 3) {
  const trim = (v) => String(Number(v.toPrecision(digits)));
  return hz >= 1000 ? `${trim(hz / 1000)} kHz` : `${trim(hz)} Hz`;
}

function formatTime(seconds, digits = 2) {
  const scale = 10 ** digits;
  const all = Math.round(seconds * scale);
  const minutes = Math.floor(all / (60 * scale));
  const rest = ((all - minutes * 60 * scale) / scale).toFixed(digits).padStart(digits ? digits + 3 : 2, '0');
  const hours = Math.floor(minutes / 60);
  return hours ? `${hours}:${String(minutes % 60).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

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

class Picture {
  constructor(page, canvas) {
    this.page = page;
    this.canvas = canvas;
    this.images = new Map();
    this.cellAtHz = cellFinder(page.frequencies);
    this.cellAtTime = cellFinder(page.times, page.duration);
    const size = Float32Array.from(page.attribution.data, Math.abs).filter(Number.isFinite).sort();
    const most = size.length ? size[size.length - 1] : 0;
    this.limit = size[Math.floor(0.995 * (size.length - 1))] || most || 1;
    this.capped = this.limit < most; // colours stop at the 99.5th percentile
  }

  resize(width, height, ratio) {
    const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
    if (this.canvas.width === w && this.canvas.height === h) return;
    this.canvas.width = w;
    this.canvas.height = h;
    this.ratio = ratio;
    this.images.clear();
  }

  image(name, paint) { // an off-screen picture, painted once for each size and axis
    if (!this.images.has(name)) {
      const { width, height } = this.canvas;
      const canvas = Object.assign(document.createElement('canvas'), { width, height });
      const context = canvas.getContext('2d');
      const pixels = context.createImageData(width, height);
      paint(pixels.data, width, height);
      context.putImageData(pixels, 0, 0);
      this.images.set(name, canvas);
    }
    return this.images.get(name);
  }

  draw(sound, axis, overlay, opacity) {
    const context = this.canvas.getContext('2d');
    const base = (colours, name) => this.image(`${name}:${sound.key}:${axis.name}`, (...a) => this.paintSpectrogram(sound, axis, colours, ...a));
    context.globalAlpha = 1;
    context.drawImage(base(MAGMA, 'magma'), 0, 0);
    if (overlay === 'none' || opacity <= 0) return;
    context.globalAlpha = opacity;
    if (overlay === 'attribution') {
      context.drawImage(base(GREY, 'grey'), 0, 0);
      context.drawImage(this.image(`attribution:${axis.name}`, (...a) => this.paintAttribution(axis, ...a)), 0, 0);
    } else {
      context.drawImage(this.image(`mask:${axis.name}`, (...a) => this.paintMask(axis, ...a)), 0, 0);
    }
    context.globalAlpha = 1;
  }

  // Rows of the picture are stretches of frequency, columns stretches of time: where a stretch holds several values
  // the largest counts, where it holds less than one they are joined by straight lines.
  paintSpectrogram(sound, axis, colours, out, width, height) {
    const { data, shape: [bins, frames] } = sound.spectrogram;
    const rows = new Uint8Array(height * frames);
    for (let y = 0; y < height; y++) {
      const low = (axis.from(1 - (y + 1) / height) / axis.top) * (bins - 1);
      const high = (axis.from(1 - y / height) / axis.top) * (bins - 1);
      squeeze(low, high, bins, (bin, weight, most) => {
        for (let t = 0, i = y * frames, j = bin * frames; t < frames; t++, i++, j++) {
          if (most) { if (data[j] > rows[i]) rows[i] = data[j]; } else rows[i] += weight * data[j];
        }
      });
    }
    const line = new Uint8Array(frames);
    const columns = Array.from({ length: width }, (_, x) => [(x / width) * frames - 0.5, ((x + 1) / width) * frames - 0.5]);
    for (let y = 0; y < height; y++) {
      line.set(rows.subarray(y * frames, (y + 1) * frames));
      for (let x = 0; x < width; x++) {
        let value = 0;
        squeeze(columns[x][0], columns[x][1], frames, (t, weight, most) => {
          if (most) { if (line[t] > value) value = line[t]; } else value += weight * line[t];
        });
        const i = 4 * (y * width + x);
        const c = 3 * Math.round(value);
        out[i] = colours[c]; out[i + 1] = colours[c + 1]; out[i + 2] = colours[c + 2]; out[i + 3] = 255;
      }
    }
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
    const { data, shape: [bins, frames] } = sound.spectrogram;
    const bin = Math.min(bins - 1, Math.max(0, Math.round((hz / this.page.top_hz) * (bins - 1))));
    const frame = Math.min(frames - 1, Math.max(0, Math.floor((seconds / this.page.duration) * frames)));
    const level = data[bin * frames + frame];
    const db = this.page.floor_db + (level / 255) * (this.page.ceil_db - this.page.floor_db);
    const [band, cell] = [this.cellAtHz(hz), this.cellAtTime(seconds)];
    const index = band * this.page.times.length + cell;
    const inside = band >= 0 && cell >= 0;
    return { db, floor: level === 0, attribution: inside ? this.page.attribution.data[index] : null, mask: inside ? this.page.mask.data[index] : null };
  }
}

// Calls `use(index, weight, most)` for the samples between two places on a line of n samples.
function squeeze(low, high, n, use) {
  const last = n - 1;
  if (high - low > 1) {
    const first = Math.min(last, Math.max(0, Math.round(low)));
    const end = Math.min(last, Math.max(first, Math.round(high) - 1));
    for (let i = first; i <= end; i++) use(i, 1, true);
    return;
  }
  const place = Math.min(last, Math.max(0, (low + high) / 2));
  const index = Math.min(Math.floor(place), Math.max(0, last - 1));
  use(index, 1 - (place - index), false);
  if (last > 0) use(index + 1, place - index, false);
}

function drawWave(canvas, page, sound, matched, width, height, ratio, colours) {
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext('2d');
  const scaleOf = (s) => (matched ? s.match_gain ?? 1 : 1);
  const original = page.sounds[0];
  const full = Math.max(1e-9, ...page.sounds.map((s) => s.peak * scaleOf(s))); // one scale for all three
  const paint = (s, colour) => {
    const { data, shape: [, n] } = s.peaks;
    const scale = (0.94 * scaleOf(s)) / full;
    const y = (v) => (0.5 - 0.5 * (Number.isFinite(v) ? v : 0) * scale) * canvas.height;
    context.fillStyle = colour;
    for (let x = 0; x < canvas.width; x++) {
      const first = Math.min(n - 1, Math.floor((x / canvas.width) * n));
      const end = Math.max(first + 1, Math.min(n, Math.floor(((x + 1) / canvas.width) * n)));
      let [low, high] = [Infinity, -Infinity];
      for (let i = first; i < end; i++) { low = Math.min(low, data[i]); high = Math.max(high, data[n + i]); }
      const thin = Math.max(ratio, y(low) - y(high));
      context.fillRect(x, (y(high) + y(low) - thin) / 2, 1, thin);
    }
  };
  if (sound !== original) paint(original, colours.ghost);
  paint(sound, colours[sound.key]);
}
