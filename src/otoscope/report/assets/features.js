// Features of layers as small pictures: searched, sorted, walked through by keys. The page says what choosing one does.

const asNumber = (value, digits = 2) => (value === null || value === undefined ? '\u2013' : value.toFixed(digits).replace('-', '\u2212'));
const overWeakest = (value) => (value >= 1000 ? 'the weakest draws nothing' : `${asNumber(value, 1)} times the weakest`);
const featureTitle = (f) => `${f.layer}, feature ${f.number}`;
const featureName = (f) => f.name || 'no name';

function textElement(tag, className, words) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = words;
  return made;
}

function featureEvidence(f) {
  if (f.name === 'dead') return 'Dead: no stimulus draws it.';
  const share = `${Math.round(100 * f.explained)} % of the variance`;
  const steady = f.stable ? '' : '; other stimuli give another name';
  return f.name ? `${f.name} (explains ${share}${steady})` : `No name: the best description, \u201c${f.description}\u201d, explains ${share}.`;
}

function featureFacts(f) {
  const rows = [
    ['Strongest tone', f.centre_hz === null ? '\u2013' : `${Math.round(f.centre_hz)} Hz, over ${asNumber(f.bandwidth_octaves, 1)} octaves`],
    ['Begins, lasts, ends', `${asNumber(f.onset)}, ${asNumber(f.sustain)}, ${asNumber(f.offset)}`],
    ['Latency', `${asNumber(1000 * f.latency_s, 0)} ms`],
    ['Modulation', `${asNumber(f.modulation_hz, 0)} Hz, ${overWeakest(f.modulation_contrast)}`],
    ['Pitch', `${asNumber(f.pitch_hz, 0)} Hz, ${overWeakest(f.pitch_contrast)}`],
    ['Timbre', `${f.timbre}, ${overWeakest(f.timbre_contrast)}`],
    ['Grows with level', `to the power of ${asNumber(f.level_exponent)}`],
    ['Near twin', f.twin >= 0 ? `feature ${f.twin}` : 'none'],
  ];
  if (f.closest) rows.push(['In another training', `feature ${f.closest.number} (${featureName(f.closest)}), correlation ${asNumber(f.closest.correlation)}`]);
  return rows;
}

function showFacts(box, f) {
  box.replaceChildren(...featureFacts(f).flatMap(([name, value]) => [textElement('dt', '', name), textElement('dd', '', value)]));
}

function drawSmall(canvas, picture) {
  [canvas.width, canvas.height] = [picture.columns, picture.rows];
  const context = canvas.getContext('2d');
  const pixels = context.createImageData(picture.columns, picture.rows);
  picture.values.forEach((v, i) => {
    const u = v / 255;
    pixels.data.set([255 * Math.min(1, 1.6 * u), 255 * Math.max(0, 1.5 * u - 0.55), 255 * (0.1 + 0.5 * Math.sin(Math.PI * u) * (u < 0.8 ? 1 : 0.9)), 255], 4 * i);
  });
  context.putImageData(pixels, 0, 0);
}

// `chosen(feature, byUser)` is called when one is chosen; with null when nothing is found. With `follows`, a search chooses its
// first find; without, what was chosen stays.
function featureBrowser(layers, chosen, follows = true) {
  const every = layers.flatMap((layer, l) => layer.features.map((f) => ({ ...f, layer: layer.name, l })));
  const list = $('features');
  let [shown, current] = [[], null];
  const strongest = (f) => Math.max(0, ...f.clips.map((c) => c.strength ?? 0));

  function matches(f, words) {
    const said = `${f.layer} ${f.number} ${featureName(f)} ${f.twin >= 0 ? 'twin' : ''} ${f.clips.map((c) => `${c.label} ${c.clip}`).join(' ')}`.toLowerCase();
    return words.every((word) => said.includes(word));
  }

  function tile(f, i) {
    const made = textElement('div', 'feature', '');
    made.id = `feature-${i}`;
    made.setAttribute('role', 'option');
    made.setAttribute('aria-selected', 'false');
    const canvas = document.createElement('canvas');
    canvas.setAttribute('aria-hidden', 'true');
    const small = f.clips.find((c) => c.picture)?.picture;
    if (small) drawSmall(canvas, small);
    made.append(canvas, textElement('b', '', `${f.layer} ${f.number}`), textElement('span', '', featureName(f)));
    made.addEventListener('click', () => pick(f, true));
    return made;
  }

  function find() {
    const words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
    const layer = $('layer').value;
    const sort = document.querySelector('input[name="sort"]:checked').value;
    shown = every.filter((f) => (layer === '' || f.l === Number(layer)) && matches(f, words));
    if (sort === 'name') shown.sort((a, b) => (a.name === '') - (b.name === '') || a.name.localeCompare(b.name) || b.explained - a.explained);
    if (sort === 'strength') shown.sort((a, b) => strongest(b) - strongest(a));
    $('count').textContent = `${shown.length} of ${every.length} features`;
    list.replaceChildren(...shown.map(tile));
    const stays = current && (!follows || shown.includes(current));
    pick(stays ? current : shown[0] ?? null, false);
  }

  function pick(f, byUser) {
    current = f;
    [...list.children].forEach((child, i) => child.setAttribute('aria-selected', String(shown[i] === f)));
    const place = shown.indexOf(f);
    if (place >= 0) list.setAttribute('aria-activedescendant', `feature-${place}`); else list.removeAttribute('aria-activedescendant');
    if (byUser && place >= 0) list.children[place].scrollIntoView({ block: 'nearest' });
    chosen(f, byUser);
  }

  function move(step) {
    const place = Math.min(shown.length - 1, Math.max(0, shown.indexOf(current) + step));
    if (shown.length) pick(shown[place], true);
  }

  function columns() {
    const tops = [...list.children].map((child) => child.offsetTop);
    return Math.max(1, tops.filter((top) => top === tops[0]).length);
  }

  function onKey(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(), ArrowUp: -columns(), j: 1, k: -1 };
    if (!(event.key in steps) || event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move(steps[event.key]);
  }

  $('layer').replaceChildren(new Option('all', ''), ...layers.map((layer, l) => new Option(layer.name, String(l))));
  list.onkeydown = onKey; // one browser a page: another set of layers takes its place
  $('search').oninput = $('layer').onchange = find;
  for (const radio of document.querySelectorAll('input[name="sort"]')) radio.onchange = find;
  find();
  return {
    move, current: () => current, shown: () => shown.length,
    choose: (layer, number) => { const f = every.find((one) => one.layer === layer && one.number === number); if (f) pick(f, false); return f; },
  };
}
