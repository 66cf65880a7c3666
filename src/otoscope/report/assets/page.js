// The page: reads the data, ties player and pictures to buttons, keys and pointer.

const $ = (id) => document.getElementById(id);
const page = JSON.parse($('data').textContent);
$('data').remove();

function unpack({ shape, dtype, base64 }) {
  const kinds = { u1: Uint8Array, '<f4': Float32Array, '<f8': Float64Array };
  return { shape, data: new kinds[dtype](decodeBase64(base64).buffer) };
}
for (const name of ['attribution', 'mask']) page[name] = unpack(page[name]);
for (const name of ['frequencies', 'times']) page[name] = unpack(page[name]).data;
for (const sound of page.sounds) {
  sound.spectrogram = unpack(sound.spectrogram);
  sound.peaks = unpack(sound.peaks);
  sound.peak = sound.peaks.data.reduce((most, v) => (Math.abs(v) > most ? Math.abs(v) : most), 0);
}

const view = { axis: 'mel', overlay: 'none', opacity: 0.85, error: null, keys: true };
const steps = (() => {
  const small = Math.min(page.duration <= 10 ? 0.25 : page.duration <= 60 ? 1 : 5, page.duration / 10);
  return { small, large: 4 * small };
})();
const dark = matchMedia('(prefers-color-scheme: dark)');
const picture = new Picture(page, $('picture'));
const player = new Player(page, changed, failed);
const active = () => page.sounds.find((sound) => sound.key === player.key);
const cards = [...$('sounds').querySelectorAll('[role=radio]')];

// --- showing ---------------------------------------------------------------------------------------------------

function changed(what) {
  showSounds();
  showPlace();
  if (what === 'select' || what === 'level') drawLater();
  if (player.playing) follow();
  const words = {
    ready: '', play: `playing ${active().name}`, pause: `paused at ${spoken(player.time)}`, end: 'at the end', seek: '',
    select: `${active().name}${player.playing ? ', playing' : ''}`, level: player.matched ? 'matched levels' : 'true levels',
    loop: player.loop ? 'loop on' : 'loop off',
  }[what];
  if (words) $('status').textContent = words;
}

function failed(message) {
  view.error = message;
  $('failure').textContent = message;
  $('failure').hidden = false;
  $('play').disabled = !player.loaded;
  showSounds();
}

function showSounds() {
  for (const card of cards) {
    const mine = card.dataset.key === player.key;
    card.setAttribute('aria-checked', String(mine));
    card.tabIndex = mine ? 0 : -1;
    card.classList.toggle('playing', mine && player.playing);
  }
  $('play').classList.toggle('on', player.playing);
  $('play').setAttribute('aria-label', player.playing ? 'Pause' : 'Play');
  $('loop').setAttribute('aria-pressed', String(player.loop));
  document.querySelector(`input[name=level][value=${player.matched ? 'matched' : 'true'}]`).checked = true;
  $('level-note').textContent = levelNote();
}

function decibels(gain) { return 20 * Math.log10(gain); }

function levelNote() {
  const sound = active();
  player.gains();
  const quieter = player.headroom < 0.995 ? `all three ${(-decibels(player.headroom)).toFixed(1)} dB down so that nothing clips` : '';
  if (!player.matched) return quieter || `${sound.name} at its own level`;
  const change = decibels(sound.match_gain ?? 1);
  const own = Math.abs(change) < 0.05 ? `${sound.name} unchanged` : `${sound.name} ${Math.abs(change).toFixed(1)} dB ${change > 0 ? 'up' : 'down'}`;
  return quieter ? `${own}, ${quieter}` : own;
}

function inDb(value, digits) { return `${value.toFixed(digits)} dB`.replace('-', '\u2212'); }

function spoken(seconds) { return `${seconds.toFixed(2)} of ${page.duration.toFixed(2)} seconds`; }

function showPlace() {
  const time = player.time;
  $('now').textContent = formatTime(time);
  $('seek').setAttribute('aria-valuenow', time.toFixed(3));
  $('seek').setAttribute('aria-valuetext', spoken(time));
  const width = $('screen').clientWidth;
  $('head').style.transform = `translateX(${((time / page.duration) * width).toFixed(2)}px)`;
}

function follow() { // the playhead, as long as something plays
  cancelAnimationFrame(follow.id);
  const step = () => { showPlace(); if (player.playing) follow.id = requestAnimationFrame(step); };
  follow.id = requestAnimationFrame(step);
}

function drawLater() {
  cancelAnimationFrame(drawLater.id);
  drawLater.id = requestAnimationFrame(draw);
}

function draw() {
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  const [screen, seek] = [$('screen'), $('seek')];
  const axis = axisOf(view.axis, page.top_hz);
  const sound = active();
  picture.resize(screen.clientWidth, screen.clientHeight, ratio);
  picture.draw(sound, axis, view.overlay, view.opacity);
  const look = getComputedStyle(document.documentElement);
  const colours = Object.fromEntries(['original', 'kept', 'removed', 'ghost'].map((k) => [k, look.getPropertyValue(`--${k}`).trim()]));
  drawWave($('wave'), page, sound, player.matched, seek.clientWidth, seek.clientHeight, ratio, colours);
  labels($('hz'), frequencyTicks(axis, screen.clientHeight).map(({ hz, y }) => ({ text: formatHz(hz), place: y })), 'top');
  const step = niceStep(page.duration, screen.clientWidth / 90);
  const marks = [];
  for (let i = 0; i * step <= page.duration * 1.0001; i++) {
    const text = page.duration > 90 ? formatTime(i * step, 0) : `${Number((i * step).toPrecision(6))} s`;
    marks.push({ text, place: ((i * step) / page.duration) * screen.clientWidth });
  }
  labels($('seconds'), marks, 'left');
  const shown = sound.rms_db === null ? null : sound.rms_db + decibels(player.gains()[player.key] / (sound.gain ?? 1));
  $('rms').textContent = shown === null ? 'silent' : inDb(shown, $('rms').parentElement.clientWidth < 56 ? 0 : 1);
  $('picture').setAttribute('aria-label', describe(sound));
  for (const name of ['attribution', 'mask']) $(`legend-${name}`).hidden = view.overlay !== name;
  $('legend-db').querySelector('i').style.background = gradient(view.overlay === 'attribution' ? GREY : MAGMA);
  showPlace();
}

function describe(sound) {
  const over = { none: '', attribution: ', with the attribution over it', mask: ', with what is removed darkened' }[view.overlay];
  return `Spectrogram of the sound ${sound.name}, ${page.duration.toFixed(2)} seconds, up to ${formatHz(page.top_hz)}, ${view.axis} frequency axis${over}`;
}

function labels(box, marks, side) {
  box.replaceChildren(...marks.map(({ text, place }) => {
    const mark = document.createElement('span');
    mark.textContent = text;
    mark.className = place < 1 ? 'first' : place > box.clientWidth - 14 ? 'last' : '';
    mark.style[side] = `${place}px`;
    return mark;
  }));
}

function legends() {
  $('floor').textContent = inDb(page.floor_db, 0);
  $('ceil').textContent = inDb(page.ceil_db, 0);
  const more = picture.capped ? '\u2264 ' : '';
  $('against').textContent = `against ${more}${signed(-picture.limit, 2)}`;
  $('for').textContent = `${picture.capped ? '\u2265 ' : ''}${signed(picture.limit, 2)} for`;
  $('legend-attribution').querySelector('i').style.background = `linear-gradient(90deg,rgb(${AGAINST}),#26282d,rgb(${FOR}))`;
  $('legend-mask').querySelector('i').style.background = 'linear-gradient(90deg,#0e1116,#e55064)';
}

// --- pointer ---------------------------------------------------------------------------------------------------

function placeOf(event) {
  const box = $('screen').getBoundingClientRect();
  const clamp = (v) => Math.min(1, Math.max(0, v));
  return { x: clamp((event.clientX - box.left) / box.width), y: clamp((event.clientY - box.top) / box.height), box };
}

function hover(event) {
  const { x, y, box } = placeOf(event);
  const [seconds, hz] = [x * page.duration, axisOf(view.axis, page.top_hz).from(1 - y)];
  const { db, floor, attribution, mask } = picture.read(active(), seconds, hz);
  const parts = [`${seconds.toFixed(page.duration < 1 ? 4 : 3)} s`, formatHz(hz), `${floor ? '\u2264 ' : ''}${inDb(db, 1)}`];
  parts.push(attribution === null ? 'outside the grid' : `attribution ${signed(attribution)}`);
  if (mask !== null) parts.push(`mask ${mask.toFixed(2)}`);
  $('readout').replaceChildren(...parts.map((text) => Object.assign(document.createElement('span'), { textContent: text })));
  $('cross-x').hidden = $('cross-y').hidden = false;
  $('cross-x').style.transform = `translateX(${x * box.width}px)`;
  $('cross-y').style.transform = `translateY(${y * box.height}px)`;
}

function leave() { $('cross-x').hidden = $('cross-y').hidden = true; }

function seekable(element) {
  let last = 0;
  element.addEventListener('pointerdown', (event) => {
    if (event.button) return;
    element.setPointerCapture(event.pointerId);
    player.seek(placeOf(event).x * page.duration);
  });
  element.addEventListener('pointermove', (event) => {
    if (!element.hasPointerCapture(event.pointerId) || event.timeStamp - last < 40) return;
    last = event.timeStamp;
    player.seek(placeOf(event).x * page.duration);
  });
  element.addEventListener('pointerup', (event) => {
    if (element.hasPointerCapture(event.pointerId)) player.seek(placeOf(event).x * page.duration);
  });
}

// --- buttons ---------------------------------------------------------------------------------------------------

function selectAndPlay(key) {
  if (key === player.key && player.playing) return player.pause();
  player.select(key);
  return player.play();
}

function choose(name, value) {
  document.querySelector(`input[name=${name}][value=${value}]`).checked = true;
  if (name === 'level') player.match(value === 'matched');
  else { view[name] = value; drawLater(); $('status').textContent = `${name} ${value}`; }
}

function cycle(name) {
  const all = [...document.querySelectorAll(`input[name=${name}]`)];
  choose(name, all[(all.findIndex((input) => input.checked) + 1) % all.length].value);
}

function isDark() { return document.documentElement.dataset.theme ? document.documentElement.dataset.theme === 'dark' : dark.matches; }

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  try { localStorage.setItem('otoscope.theme', name); } catch (error) { /* a sandboxed frame has no storage */ }
  showTheme();
}

function showTheme() { $('theme').setAttribute('aria-pressed', String(isDark())); drawLater(); }

function help() {
  $('help').showModal();
  $('help-close').focus();
}

async function copyRecord() {
  const text = JSON.stringify(page.record, null, 2);
  let done = true;
  try { await navigator.clipboard.writeText(text); } catch (error) {
    const area = Object.assign(document.createElement('textarea'), { value: text, className: 'hidden', readOnly: true });
    document.body.append(area);
    area.select();
    done = document.execCommand('copy');
    area.remove();
    $('copy').focus();
  }
  $('copied').textContent = done ? 'Copied' : 'This browser does not let the page copy; select the text instead.';
}

// --- keys ------------------------------------------------------------------------------------------------------

let pointed = null; // the control that was focused by pointer: arrows and space stay with the player there
const moves = {
  arrowleft: (e) => player.seek(player.time - (e.shiftKey ? steps.large : steps.small)),
  arrowright: (e) => player.seek(player.time + (e.shiftKey ? steps.large : steps.small)),
  home: () => player.seek(0),
  end: () => player.seek(page.duration),
  ' ': () => player.toggle(),
};
const letters = {
  a: () => player.select('original'), b: () => player.select('kept'), c: () => player.select('removed'),
  l: () => choose('level', player.matched ? 'true' : 'matched'), r: () => player.repeat(!player.loop),
  o: () => cycle('overlay'), f: () => cycle('axis'), '?': () => help(),
};

function onKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || $('help').open) return;
  const key = event.key.toLowerCase();
  const at = event.target instanceof Element ? event.target : document.body;
  const byPointer = at === pointed;
  if (at.getAttribute('role') === 'radio' && !byPointer && /^arrow/.test(key) && !event.shiftKey) return moveRadio(event, key);
  if (at.matches('[role=slider]') && /^arrow(up|down)$/.test(key)) moves[key === 'arrowup' ? 'arrowright' : 'arrowleft'](event);
  else if (key in moves && !(takesKey(at, key) && !byPointer)) moves[key](event);
  else if (key in letters && view.keys && !event.repeat) letters[key]();
  else return undefined;
  return event.preventDefault();
}

// Does the focused control itself answer to this key?
function takesKey(at, key) {
  if (key === ' ') return at.matches('button:not([role=radio]):not(#play), summary, a, input[type=radio], input[type=checkbox]');
  return at.matches('input');
}

function moveRadio(event, key) {
  const step = key === 'arrowright' || key === 'arrowdown' ? 1 : -1;
  const next = cards[(cards.findIndex((card) => card.dataset.key === player.key) + step + cards.length) % cards.length];
  player.select(next.dataset.key);
  next.focus();
  event.preventDefault();
}

// --- wiring ----------------------------------------------------------------------------------------------------

for (const card of cards) card.addEventListener('click', () => selectAndPlay(card.dataset.key));
$('play').addEventListener('click', () => player.toggle());
$('loop').addEventListener('click', () => player.repeat(!player.loop));
$('theme').addEventListener('click', () => setTheme(isDark() ? 'light' : 'dark'));
$('help-open').addEventListener('click', help);
$('help').addEventListener('click', (event) => { if (event.target === $('help')) $('help').close(); }); // beside the panel
$('keys-on').addEventListener('change', (event) => { view.keys = event.target.checked; });
$('copy').addEventListener('click', copyRecord);
$('opacity').addEventListener('input', (event) => {
  view.opacity = Number(event.target.value) / 100;
  $('opacity-now').textContent = `${event.target.value}\u00a0%`;
  drawLater();
});
for (const input of document.querySelectorAll('.segmented input')) input.addEventListener('change', () => choose(input.name, input.value));
document.querySelector('.skip').addEventListener('click', (event) => { event.preventDefault(); cards.find((card) => card.tabIndex === 0).focus(); });
document.addEventListener('keydown', onKey);
document.addEventListener('pointerdown', () => { setTimeout(() => { pointed = document.activeElement; }); }, true);
document.addEventListener('focusin', (event) => { if (event.target !== pointed) pointed = null; });
$('screen').addEventListener('pointermove', hover);
$('screen').addEventListener('pointerleave', leave);
seekable($('screen'));
seekable($('seek'));
dark.addEventListener('change', showTheme);
addEventListener('beforeprint', () => { for (const fold of document.querySelectorAll('details')) fold.open = true; });
new ResizeObserver(drawLater).observe($('stage'));

try { const kept = localStorage.getItem('otoscope.theme'); if (kept === 'dark' || kept === 'light') document.documentElement.dataset.theme = kept; } catch (error) { /* no storage */ }
$('seek').setAttribute('aria-valuemax', page.duration.toFixed(3));
const inWords = (seconds) => `${Number(seconds.toPrecision(3))} s`;
$('step-small').textContent = inWords(steps.small);
$('step-large').textContent = inWords(steps.large);
legends();
showSounds();
showTheme();

window.otoscope = {
  state: () => ({
    sound: player.key, time: player.time, duration: page.duration, playing: player.playing, loaded: player.loaded, loop: player.loop,
    level: player.matched ? 'matched' : 'true', gains: player.gains(), mode: player.linked ? 'linked' : 'embedded',
    axis: view.axis, overlay: view.overlay, opacity: view.opacity, theme: isDark() ? 'dark' : 'light', error: view.error,
  }),
  play: () => player.play(), pause: () => player.pause(), seek: (s) => player.seek(s), select: (key) => player.select(key),
  ready: player.ready,
};
