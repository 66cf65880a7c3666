// The atlas: features as small pictures, searched, sorted, walked through by keys, and heard.

const atlas = JSON.parse($('data').textContent);
const all = atlas.layers.flatMap((layer, l) => layer.features.map((f) => ({ ...f, layer: layer.name, l })));
const state = { shown: [], chosen: null };

function text(tag, className, words) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = words;
  return made;
}

const fixed = (value, digits = 2) => (value === null || value === undefined ? '\u2013' : value.toFixed(digits).replace('-', '\u2212'));
const strongest = (f) => Math.max(0, ...f.clips.map((c) => c.strength ?? 0));
const nameOf = (f) => f.name || 'no name';

function matches(f, words) {
  const said = `${f.layer} ${f.number} ${nameOf(f)} ${f.twin >= 0 ? 'twin' : ''} ${f.clips.map((c) => `${c.label} ${c.clip}`).join(' ')}`.toLowerCase();
  return words.every((word) => said.includes(word));
}

function choose() {
  const words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
  const layer = $('layer').value;
  const sort = document.querySelector('input[name="sort"]:checked').value;
  const found = all.filter((f) => (layer === '' || f.l === Number(layer)) && matches(f, words));
  if (sort === 'name') found.sort((a, b) => (a.name === '') - (b.name === '') || a.name.localeCompare(b.name) || b.explained - a.explained);
  if (sort === 'strength') found.sort((a, b) => strongest(b) - strongest(a));
  state.shown = found;
  $('count').textContent = `${found.length} of ${all.length} features`;
  $('features').replaceChildren(...found.map(tile));
  const kept = found.includes(state.chosen) ? state.chosen : found[0] ?? null;
  pick(kept, false);
}

function tile(f, i) {
  const made = document.createElement('div');
  made.className = 'feature';
  made.id = `feature-${i}`;
  made.setAttribute('role', 'option');
  made.setAttribute('aria-selected', 'false');
  const canvas = document.createElement('canvas');
  canvas.setAttribute('aria-hidden', 'true');
  const picture = f.clips.find((c) => c.picture)?.picture;
  if (picture) draw(canvas, picture);
  made.append(canvas, text('b', '', `${f.layer} ${f.number}`), text('span', '', nameOf(f)));
  made.addEventListener('click', () => { pick(f, true); play(); });
  return made;
}

function draw(canvas, picture) {
  [canvas.width, canvas.height] = [picture.columns, picture.rows];
  const context = canvas.getContext('2d');
  const pixels = context.createImageData(picture.columns, picture.rows);
  picture.values.forEach((v, i) => {
    const u = v / 255;
    pixels.data.set([255 * Math.min(1, 1.6 * u), 255 * Math.max(0, 1.5 * u - 0.55), 255 * (0.1 + 0.5 * Math.sin(Math.PI * u) * (u < 0.8 ? 1 : 0.9)), 255], 4 * i);
  });
  context.putImageData(pixels, 0, 0);
}

function pick(f, scroll) {
  state.chosen = f;
  $('one').hidden = !f;
  const list = $('features');
  [...list.children].forEach((child, i) => child.setAttribute('aria-selected', String(state.shown[i] === f)));
  if (!f) { list.removeAttribute('aria-activedescendant'); return; }
  const place = state.shown.indexOf(f);
  list.setAttribute('aria-activedescendant', `feature-${place}`);
  if (scroll) list.children[place].scrollIntoView({ block: 'nearest' });
  $('one-title').textContent = `${f.layer}, feature ${f.number}`;
  $('one-name').textContent = evidence(f);
  $('one-clips').replaceChildren(...f.clips.map(clipRow));
  $('one-facts').replaceChildren(...facts(f).flatMap(([name, value]) => [text('dt', '', name), text('dd', '', value)]));
}

function evidence(f) {
  if (f.name === 'dead') return 'Dead: no stimulus draws it.';
  const share = `${Math.round(100 * f.explained)} % of the variance`;
  const steady = f.stable ? '' : '; other stimuli give another name';
  return f.name ? `${f.name} (explains ${share}${steady})` : `No name: the best description, \u201c${f.description}\u201d, explains ${share}.`;
}

function clipRow(c) {
  const row = text('div', 'clip', '');
  const label = `${c.clip}${c.label ? ` (${c.label})` : ''}, from ${fixed(c.start_s)} s`;
  row.append(text('span', '', `By ${c.why}: ${label}`), sound(c.original, 'Original'));
  if (c.heard) row.append(sound(c.heard, 'Auralised'), text('span', 'none', `kept ${fixed(c.kept)}, selectivity ${fixed(c.selectivity)}`));
  return row;
}

function sound(file, name) {
  const label = text('label', '', `${name} `);
  const player = document.createElement('audio');
  player.controls = true;
  player.preload = 'none';
  player.src = file;
  player.dataset.kind = name;
  player.setAttribute('aria-label', name);
  label.append(player);
  return label;
}

function facts(f) {
  return [
    ['Strongest tone', f.centre_hz === null ? '\u2013' : `${Math.round(f.centre_hz)} Hz, over ${fixed(f.bandwidth_octaves, 1)} octaves`],
    ['Begins, lasts, ends', `${fixed(f.onset)}, ${fixed(f.sustain)}, ${fixed(f.offset)}`],
    ['Latency', `${fixed(1000 * f.latency_s, 0)} ms`],
    ['Modulation', `${fixed(f.modulation_hz, 0)} Hz, ${fixed(f.modulation_contrast, 1)} times the weakest`],
    ['Grows with level', `to the power of ${fixed(f.level_exponent)}`],
    ['Near twin', f.twin >= 0 ? `feature ${f.twin}` : 'none'],
  ];
}

function play(kind = 'Auralised') {
  for (const other of document.querySelectorAll('audio')) other.pause();
  const player = document.querySelector(`audio[data-kind="${kind}"]`) ?? document.querySelector('#one audio');
  if (player) { player.currentTime = 0; player.play().catch(() => {}); }
}

function move(step) {
  const place = Math.min(state.shown.length - 1, Math.max(0, state.shown.indexOf(state.chosen) + step));
  if (state.shown.length) { pick(state.shown[place], true); play(); }
}

function columns() {
  const tops = [...$('features').children].map((child) => child.offsetTop);
  return Math.max(1, tops.filter((top) => top === tops[0]).length);
}

$('features').addEventListener('keydown', (event) => {
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(), ArrowUp: -columns(), j: 1, k: -1 };
  if (event.key in steps) { event.preventDefault(); move(steps[event.key]); }
  if (event.key === 'Enter' || event.key === 'a') { event.preventDefault(); play(); }
  if (event.key === 'o') { event.preventDefault(); play('Original'); }
});
$('search').addEventListener('input', choose);
$('layer').addEventListener('change', choose);
for (const radio of document.querySelectorAll('input[name="sort"]')) radio.addEventListener('change', choose);
wireTheme();
choose();
window.otoscope = { state: () => ({ shown: state.shown.length, chosen: state.chosen && `${state.chosen.layer} ${state.chosen.number}` }) };
