// The view of prototypes: map, list, votes, history, edits.

const proto = { state: null, clips: [], explained: [], marked: new Set(), hidden: new Set(), across: 0, up: 1, most: 20, pending: 0 };
const api = (path, body) => ask(`prototypes/${path}`, body);
const prototypeOf = (id) => proto.state.prototypes.find((p) => p.id === id);
const clipOf = (item) => (/^clip-\d+$/.test(item ?? '') ? proto.clips[Number(item.slice(5))] : undefined);

function colourOf(label) { // apart in hue; shapes and names carry the meaning too
  const hue = (label * 137.508 + 25) % 360;
  return `hsl(${hue.toFixed(0)} 62% ${isDark() ? 64 : 42}%)`;
}

function percentOf(value, digits = 1) { return `${(100 * value).toFixed(digits)} %`.replace('-', '\u2212'); }

// --- what is shown -------------------------------------------------------------------------------------------------

function take(state) {
  proto.state = state;
  for (const id of [...proto.marked]) if (!prototypeOf(id)) proto.marked.delete(id);
  showSummary();
  showList();
  showEdits();
  showActions();
  drawMap();
  drawWeights();
  if (state.job?.state === 'running') watch(state.job);
}

function showSummary() {
  const { prototypes, accuracy, accuracy_before: before, tested, interrupted } = proto.state;
  const parts = [`${prototypes.length} prototypes of ${proto.state.labels.length} classes.`];
  if (accuracy !== null) parts.push(`Validation accuracy ${percentOf(accuracy)}${proto.state.history.length ? `, ${percentOf(before)} at the start` : ''}.`);
  if (tested.length) parts.push(`Test accuracy ${percentOf(tested[0].accuracy)} after line ${tested[0].number}.`);
  if (interrupted) parts.push('A tuning was interrupted when the studio was stopped; start it again if you want it.');
  $('summary').textContent = parts.join(' ');
}

function showList() {
  const body = $('prototypes').tBodies[0];
  const focused = body.contains(document.activeElement) ? [document.activeElement.tagName, document.activeElement.closest('tr').dataset.id] : null;
  body.replaceChildren(...proto.state.prototypes.map(listRow));
  if (focused) body.querySelector(`tr[data-id="${CSS.escape(focused[1])}"] ${focused[0]}`)?.focus({ preventScroll: true });
}

function listRow(p) {
  const mark = document.createElement('input');
  mark.type = 'checkbox';
  mark.checked = proto.marked.has(p.id);
  mark.setAttribute('aria-label', `Mark ${p.name}`);
  mark.addEventListener('change', () => { markOne(p.id, mark.checked); });
  const button = element('button', '', element('bdi', '', p.name));
  button.type = 'button';
  button.addEventListener('click', () => choosePrototype(p.id));
  const swatch = element('i', 'of-class');
  swatch.style.background = colourOf(p.label);
  const chosen = view.item === p.id;
  if (chosen) button.setAttribute('aria-current', 'true');
  const row = element('tr', chosen ? 'chosen' : '', element('td', '', mark), element('td', '', button), element('td', '', swatch, element('bdi', '', proto.state.labels[p.label])), element('td', 'number', leaves(p)));
  row.dataset.id = p.id;
  return row;
}

function leaves(p) {
  if (proto.state.accuracy === null) return '\u2013';
  if (p.lost === null) return 'last of its class';
  const points = -100 * p.lost.accuracy;
  return Math.abs(points) < 0.05 ? '0.0 points' : `${points > 0 ? '+' : '\u2212'}${Math.abs(points).toFixed(1)} points`;
}

function showEdits() {
  const items = [{ number: 0, edit: 'the model as it was' }, ...proto.state.history].map((line) => {
    const button = element('button', 'plain', 'Compare');
    button.type = 'button';
    button.setAttribute('aria-label', `Compare with ${wordsOf(line)}`);
    button.addEventListener('click', () => compare(line));
    const item = element('li', '', element('span', '', wordsOf(line)));
    if (line.number !== proto.state.version) item.append(button); else item.append(element('span', 'chip', 'now'));
    return item;
  });
  $('edits').replaceChildren(...items.reverse());
}

function wordsOf(line) {
  const ids = (line.ids ?? []).join(', ');
  return {
    delete: `deleted ${ids}`, merge: `merged ${ids}`, rename: `renamed ${line.id} to “${line.name}”`, add: `made ${line.clip} prototype ${line.id}`,
    tune: `tuned for ${line.epochs} epochs`,
  }[line.edit] ?? line.edit;
}

async function compare(line) {
  const found = await attempt(() => api(`compare/${line.number}`));
  if (!found) return;
  const parts = [`${wordsOf(line)}: ${found.prototypes} prototypes`];
  if (found.accuracy !== null) parts[0] += `, validation accuracy ${percentOf(found.accuracy)} (now ${percentOf(proto.state.accuracy)})`;
  if (found.gone.length) parts.push(`gone since: ${found.gone.join(', ')}`);
  if (found.new.length) parts.push(`new since: ${found.new.join(', ')}`);
  $('compared').textContent = `${parts.join('; ')}.`;
}

function showActions() {
  const p = prototypeOf(view.item);
  const busy = proto.state.job?.state === 'running';
  const marked = proto.marked.size;
  $('undo').disabled = busy || !proto.state.can_undo;
  $('redo').disabled = busy || !proto.state.can_redo;
  $('tune-open').disabled = busy;
  $('test-open').disabled = busy || !proto.state.can_test;
  $('test-go').hidden = proto.state.tested.length > 0;
  $('delete').disabled = busy || !(marked || p);
  $('delete').textContent = marked ? `Delete ${marked} marked` : 'Delete';
  $('merge').disabled = busy || marked < 2;
  $('rename').disabled = $('name').disabled = busy || !p;
  if (document.activeElement !== $('name')) $('name').value = p?.name ?? '';
  $('add').hidden = !clipOf(view.item);
  $('add').disabled = busy;
}

function showVotes(p) {
  const rows = p.votes.map((value, i) => ({ value, label: proto.state.labels[i] })).sort((a, b) => b.value - a.value);
  showBars('votes-of', rows.slice(0, 12));
}

function showBars(id, rows) {
  const most = Math.max(1e-9, ...rows.map(({ value }) => Math.abs(value)));
  const space = 'http://www.w3.org/2000/svg';
  $(id).replaceChildren(...rows.map(({ value, label }) => {
    const svg = document.createElementNS(space, 'svg');
    svg.setAttribute('viewBox', '0 0 100 12');
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('aria-hidden', 'true');
    const bar = document.createElementNS(space, 'rect');
    const width = (Math.abs(value) / most) * 50;
    for (const [name, number] of Object.entries({ x: value < 0 ? 50 - width : 50, y: 1, width, height: 10, class: value < 0 ? 'minus' : 'plus' })) bar.setAttribute(name, String(number));
    svg.append(bar);
    return element('div', '', element('bdi', '', label), svg, element('b', '', value.toFixed(2).replace('-', '\u2212')));
  }));
}

// --- map -------------------------------------------------------------------------------------------------------

function pointsShown() { // the first clips of each class, and all prototypes of the classes that are shown
  const counts = {};
  const dots = proto.clips.map((clip, i) => ({ ...clip, item: `clip-${i}`, clip: true }))
    .filter((c) => !proto.hidden.has(c.label) && ((counts[c.label] = (counts[c.label] ?? 0) + 1) <= proto.most || c.item === view.item));
  const crosses = proto.state.prototypes.filter((p) => !proto.hidden.has(p.label)).map((p) => ({ ...p, item: p.id, clip: false }));
  return [...dots, ...crosses];
}

function layOut() {
  const canvas = $('map');
  const [w, h] = [canvas.clientWidth, canvas.clientHeight];
  const points = pointsShown();
  const span = (axis) => {
    const values = points.map((p) => p.place[axis]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return { low, size: Math.max(1e-9, high - low) };
  };
  const [sx, sy] = [span(proto.across), span(proto.up)];
  return points.map((p) => ({
    ...p, x: 16 + ((p.place[proto.across] - sx.low) / sx.size) * (w - 32), y: h - 16 - ((p.place[proto.up] - sy.low) / sy.size) * (h - 32),
  }));
}

function drawMap() {
  const canvas = $('map');
  const ratio = pixelRatio();
  [canvas.width, canvas.height] = [Math.max(1, Math.round(canvas.clientWidth * ratio)), Math.max(1, Math.round(canvas.clientHeight * ratio))];
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  const look = getComputedStyle(document.documentElement);
  for (const p of layOut()) {
    context.fillStyle = context.strokeStyle = colourOf(p.label);
    if (p.clip) {
      context.globalAlpha = 0.55;
      context.beginPath();
      context.arc(p.x, p.y, 3.2, 0, 7);
      context.fill();
    } else {
      context.globalAlpha = 1;
      for (const [style, width] of [[look.getPropertyValue('--panel'), 6], [colourOf(p.label), 3]]) {
        context.strokeStyle = style;
        context.lineWidth = width;
        context.beginPath();
        context.moveTo(p.x - 6, p.y - 6); context.lineTo(p.x + 6, p.y + 6);
        context.moveTo(p.x + 6, p.y - 6); context.lineTo(p.x - 6, p.y + 6);
        context.stroke();
      }
    }
    context.globalAlpha = 1;
    if (p.item === view.item || proto.marked.has(p.item)) {
      context.strokeStyle = look.getPropertyValue('--ink');
      context.lineWidth = p.item === view.item ? 2 : 1;
      context.beginPath();
      context.arc(p.x, p.y, 12, 0, 7);
      context.stroke();
    }
  }
}

function mapClick(event) {
  const box = $('map').getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const near = layOut().map((p) => ({ item: p.item, d: Math.hypot(p.x - x, p.y - y) - (p.clip ? 0 : 6) })).sort((a, b) => a.d - b.d)[0];
  if (near && near.d < 22) choosePrototype(near.item);
}

function mapKey(event) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (!(event.key in steps) || event.shiftKey) return;
  event.preventDefault();
  const points = layOut();
  const here = points.find((p) => p.item === view.item) ?? points[points.length - 1];
  const [dx, dy] = steps[event.key];
  const ahead = points.filter((p) => p.item !== here.item).map((p) => {
    const [x, y] = [p.x - here.x, p.y - here.y];
    return { item: p.item, along: x * dx + y * dy, aside: Math.abs(x * dy - y * dx) };
  }).filter((p) => p.along > 0.5).sort((a, b) => a.along + 2 * a.aside - b.along - 2 * b.aside)[0];
  if (ahead) choosePrototype(ahead.item);
}

function buildClasses() {
  for (const [i, label] of proto.state.labels.entries()) {
    const box = document.createElement('input');
    box.type = 'checkbox';
    box.checked = true;
    box.addEventListener('change', () => { if (box.checked) proto.hidden.delete(i); else proto.hidden.add(i); drawMap(); });
    const swatch = document.createElement('i');
    swatch.style.background = colourOf(i);
    $('map-classes').append(element('label', '', box, swatch, element('bdi', '', label)));
  }
}

// --- weights ---------------------------------------------------------------------------------------------------

function drawWeights() {
  const rows = proto.state.prototypes;
  const canvas = $('weights');
  const [nx, ny] = [rows.length, proto.state.labels.length];
  canvas.width = Math.max(1, nx);
  canvas.height = ny;
  canvas.style.height = `${Math.min(360, Math.max(60, 18 * ny))}px`;
  canvas.setAttribute('aria-label', `Weights of ${nx} prototypes (across) for ${ny} classes (down): orange speaks for, blue against`);
  const most = Math.max(1e-9, ...rows.flatMap((p) => p.votes.map(Math.abs)));
  const context = canvas.getContext('2d');
  const pixels = context.createImageData(canvas.width, canvas.height);
  const [plus, minus, none] = isDark() ? [[240, 166, 60], [111, 168, 224], [20, 23, 27]] : [[184, 105, 10], [52, 105, 159], [255, 255, 255]];
  rows.forEach((p, x) => p.votes.forEach((vote, y) => {
    const [to, share] = [vote < 0 ? minus : plus, Math.abs(vote) / most];
    for (let c = 0; c < 3; c++) pixels.data[4 * (y * canvas.width + x) + c] = none[c] + share * (to[c] - none[c]);
    pixels.data[4 * (y * canvas.width + x) + 3] = 255;
  }));
  context.putImageData(pixels, 0, 0);
  const [low, bar, high] = $('legend-weights').children;
  low.textContent = `\u2212${most.toFixed(2)}`;
  high.textContent = most.toFixed(2);
  bar.style.background = `linear-gradient(90deg,rgb(${minus}),rgb(${none}),rgb(${plus}))`;
}

// --- choosing and editing ------------------------------------------------------------------------------------------

function choosePrototype(item) { return select(item); }

async function showItem(item) {
  const p = prototypeOf(item);
  const clip = clipOf(item);
  showList();
  showActions();
  drawMap();
  if (p) showVotes(p);
  if (!p && !clip) {
    if (item) { trouble(new Error(`There is no prototype ${item} any more.`)); }
    if (proto.state.prototypes.length) await select(proto.state.prototypes[0].id);
    return;
  }
  $('prototypes').querySelector(`tr[data-id="${CSS.escape(item)}"]`)?.scrollIntoView({ block: 'nearest' });
  const turn = ++proto.pending;
  const title = p ? `${p.name} (${proto.state.labels[p.label]})` : `${clip.file} (${proto.state.labels[clip.label]})`;
  const content = await attempt(() => api(p ? `sounds/${encodeURIComponent(item)}` : `clip/${item.slice(5)}`));
  if (!content || turn !== proto.pending) return; // something else was chosen meanwhile
  $('bands').hidden = !content.bands;
  if (content.bands) showBars('bands-of', content.bands);
  openStage(content, title, 'prototypes/audio');
  say(`${title} is shown`);
}

function markOne(id, on) {
  if (on) proto.marked.add(id); else proto.marked.delete(id);
  const box = $('prototypes').querySelector(`tr[data-id="${CSS.escape(id)}"] input`);
  if (box) box.checked = on;
  showActions();
  drawMap();
}

async function change(work, words) {
  const state = await attempt(work);
  if (!state) { const now = await api('state').catch(() => null); if (now) take(now); return; }
  take(state);
  say(words);
  const item = prototypeOf(view.item) || clipOf(view.item) ? view.item : state.prototypes[0]?.id ?? null;
  if (item !== view.item) await select(item); else showItem(item);
}

const edit = (line, words) => change(() => api('edit', { number: proto.state.number, edit: line }), words);

function deleteThem() {
  const ids = proto.marked.size ? [...proto.marked] : [view.item];
  return edit({ edit: 'delete', ids }, `${ids.length} deleted`);
}

async function tune() {
  const settings = { epochs: Number($('tune-epochs').value), lr: Number($('tune-lr').value), pull: Number($('tune-pull').value) };
  const found = await attempt(() => api('tune', { number: proto.state.number, settings }));
  if (!found) return;
  proto.state.job = found.job;
  showActions();
  watch(found.job);
}

function watch(job) {
  showJob(job, async () => { const state = await attempt(() => api('state')); if (state) { take(state); showItem(view.item); } });
}

function step(by) {
  const rows = proto.state.prototypes;
  const place = rows.findIndex((p) => p.id === view.item);
  return select(rows[(place + by + rows.length) % rows.length].id);
}

const press = (id) => () => { if (!$(id).disabled) $(id).click(); };

views.prototypes = {
  async start() {
    const [state, clips] = await Promise.all([api('state'), api('clips')]);
    [proto.clips, proto.explained] = [clips.clips, clips.explained];
    proto.state = state;
    buildClasses();
    for (const [id, axis] of [['map-x', 'across'], ['map-y', 'up']]) {
      [...$(id).options].forEach((option, i) => { option.textContent = `component ${i + 1} (${percentOf(proto.explained[i], 0)})`; });
      $(id).addEventListener('change', (event) => { proto[axis] = Number(event.target.value); drawMap(); });
    }
    $('map-clips').addEventListener('input', (event) => { proto.most = Number(event.target.value); $('map-count').textContent = event.target.value; drawMap(); });
    $('map').addEventListener('click', mapClick);
    $('map').addEventListener('keydown', mapKey);
    new ResizeObserver(drawMap).observe($('map'));
    $('undo').addEventListener('click', () => edit({ edit: 'undo' }, 'undone'));
    $('redo').addEventListener('click', () => edit({ edit: 'redo' }, 'redone'));
    $('delete').addEventListener('click', deleteThem);
    $('merge').addEventListener('click', () => { const ids = [...proto.marked]; proto.marked.clear(); edit({ edit: 'merge', ids }, 'merged'); });
    $('rename').addEventListener('click', () => edit({ edit: 'rename', id: view.item, name: $('name').value }, 'renamed'));
    $('name').addEventListener('keydown', (event) => { if (event.key === 'Enter') $('rename').click(); });
    $('add').addEventListener('click', () => edit({ edit: 'add', place: Number(view.item.slice(5)) }, 'the clip is a prototype now'));
    $('tune-open').addEventListener('click', () => $('tune-dialog').showModal());
    $('tune-dialog').addEventListener('close', () => { if ($('tune-dialog').returnValue === 'go') tune(); $('tune-dialog').returnValue = ''; });
    $('test-open').addEventListener('click', () => $('test-dialog').showModal());
    $('test-go').addEventListener('click', async () => { $('test-dialog').close(); await change(() => api('test', { number: proto.state.number }), 'the test clips were used'); });
    $('save').addEventListener('click', async () => { const found = await attempt(() => api('save', {})); if (found) { say(`saved in ${found.folder}`); $('compared').textContent = `Saved in ${found.folder}.`; } });
    take(state);
  },
  show: showItem,
  drawn: () => { showList(); drawMap(); drawWeights(); },
  letters: {
    j: () => step(1), k: () => step(-1), m: () => { if (prototypeOf(view.item)) markOne(view.item, !proto.marked.has(view.item)); },
    z: press('undo'), y: press('redo'),
  },
  state: () => ({
    number: proto.state?.number, accuracy: proto.state?.accuracy, prototypes: proto.state?.prototypes.map((p) => p.id), marked: [...proto.marked],
    names: proto.state?.prototypes.map((p) => p.name), shown: proto.state ? layOut().length : 0, job: $('job').hidden ? null : $('job-text').textContent,
  }),
};
