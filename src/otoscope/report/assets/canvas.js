// The pictures: colour maps, frequency axes, ticks, waveform, spectrogram.

const MAGMA = table(['#000004', '#1c1044', '#4f127b', '#812581', '#b5367a', '#e55064', '#fb8761', '#fec287', '#fcfdbf']);
const GREY = table(['#040405', '#212327', '#9a9da3']);

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

class Spectrogram {
  constructor(page, canvas) {
    this.page = page;
    this.canvas = canvas;
    this.images = new Map();
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

  draw(sound, axis) {
    const context = this.canvas.getContext('2d');
    context.globalAlpha = 1;
    context.drawImage(this.base(sound, axis, MAGMA, 'magma'), 0, 0);
  }

  base(sound, axis, colours, name) {
    return this.image(`${name}:${sound.key}:${axis.name}`, (...a) => this.paintSpectrogram(sound, axis, colours, ...a));
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

  // What lies under a place: dB of the sound.
  read(sound, seconds, hz) {
    const { data, shape: [bins, frames] } = sound.spectrogram;
    const bin = Math.min(bins - 1, Math.max(0, Math.round((hz / this.page.top_hz) * (bins - 1))));
    const frame = Math.min(frames - 1, Math.max(0, Math.floor((seconds / this.page.duration) * frames)));
    const level = data[bin * frames + frame];
    const db = this.page.floor_db + (level / 255) * (this.page.ceil_db - this.page.floor_db);
    return { db, floor: level === 0 };
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
  const full = Math.max(1e-9, ...page.sounds.map((s) => s.peak * scaleOf(s))); // one scale for all
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
  paint(sound, colours.own);
}
