// What both pages with players have: sounds to choose, buttons, waveform and spectrogram with their ticks, keys.
// The page that uses it declares `page`, `player`, `view` (axis, keys, error), `picture`, `draw()` and `letters`.

const active = () => page.sounds.find((sound) => sound.key === player.key);

function unpack({ shape, dtype, base64 }) {
  const kinds = { u1: Uint8Array, '<f4': Float32Array, '<f8': Float64Array };
  return { shape, data: new kinds[dtype](decodeBase64(base64).buffer) };
}

function unpackSound(sound) {
  sound.spectrogram = unpack(sound.spectrogram);
  sound.peaks = unpack(sound.peaks);
  sound.peak = sound.peaks.data.reduce((most, v) => (Math.abs(v) > most ? Math.abs(v) : most), 0);
}

function stepsOf(duration) { // how far the arrow keys move, s
  const small = Math.min(duration <= 10 ? 0.25 : duration <= 60 ? 1 : 5, duration / 10);
  return { small, large: 4 * small };
}

// --- showing ---------------------------------------------------------------------------------------------------

function saying(what) { // a change of the player in words
  return {
    ready: '', load: 'loading', play: `playing ${active().name}`, pause: `paused at ${spoken(player.time)}`, end: 'at the end', seek: '',
    select: `${active().name}${player.playing ? ', playing' : ''}`, level: player.matched ? 'matched levels' : 'true levels',
    loop: player.loop ? 'loop on' : 'loop off',
  }[what];
}

function changed(what) { // called by the player
  showSounds();
  showPlace();
  if (what === 'select' || what === 'level') drawLater();
  if (player.playing) follow();
  const words = saying(what);
  if (words) $('status').textContent = words;
}

function failed(message) { // called by the player
  view.error = message;
  showFailure(message);
  $('play').disabled = !player.loaded;
  showSounds();
}

function showFailure(message) {
  $('failure').textContent = message;
  $('failure').hidden = false;
}

function showSounds() {
  for (const head of $('sounds').querySelectorAll('[role=radio]')) {
    const mine = head.dataset.key === player.key;
    head.setAttribute('aria-checked', String(mine));
    head.tabIndex = mine ? 0 : -1;
    head.classList.toggle('playing', mine && player.playing);
    head.closest('.version')?.classList.toggle('chosen', mine);
  }
  showTransport();
}

function showTransport() {
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
  const all = page.sounds.length === 3 ? 'all three' : 'all';
  const quieter = player.headroom < 0.995 ? `${all} ${(-decibels(player.headroom)).toFixed(1)} dB down so that nothing clips` : '';
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
  $('sounds').style.setProperty('--at', (time / page.duration).toFixed(4));
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

const pixelRatio = () => Math.min(3, window.devicePixelRatio || 1);

// Spectrogram (with what the page lays over it), waveform, ticks and level of the chosen sound.
function drawStage(own, label, ...over) {
  const [sound, axis, ratio] = [active(), axisOf(view.axis, page.top_hz), pixelRatio()];
  const [screen, seek] = [$('screen'), $('seek')];
  picture.resize(screen.clientWidth, screen.clientHeight, ratio);
  picture.draw(sound, axis, ...over);
  $('picture').setAttribute('aria-label', label);
  const look = getComputedStyle(document.documentElement);
  const colours = Object.fromEntries([['own', own], ['ghost', 'ghost']].map(([k, name]) => [k, look.getPropertyValue(`--${name}`).trim()]));
  drawWave($('wave'), page, sound, player.matched, seek.clientWidth, seek.clientHeight, ratio, colours);
  const ticks = page.rows?.length && view.overlay !== 'none' ? [] : frequencyTicks(axis, screen.clientHeight); // named rows have no Hz
  labels($('hz'), ticks.map(({ hz, y }) => ({ text: formatHz(hz), place: y })), 'top');
  const step = niceStep(page.duration, screen.clientWidth / 90);
  const marks = [];
  for (let i = 0; i * step <= page.duration * 1.0001; i++) {
    const text = page.duration > 90 ? formatTime(i * step, 0) : `${Number((i * step).toPrecision(6))} s`;
    marks.push({ text, place: ((i * step) / page.duration) * screen.clientWidth });
  }
  labels($('seconds'), marks, 'left');
  const shown = sound.rms_db === null ? null : sound.rms_db + decibels(player.gains()[player.key] / (sound.gain ?? 1));
  $('rms').textContent = shown === null ? 'silent' : inDb(shown, $('rms').parentElement.clientWidth < 56 ? 0 : 1);
  showPlace();
}

function describe(name, over = '') {
  return `Spectrogram of ${name}, ${page.duration.toFixed(2)} seconds, up to ${formatHz(page.top_hz)}, ${view.axis} frequency axis${over}`;
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

// --- pointer ---------------------------------------------------------------------------------------------------

function placeOf(event) {
  const box = $('screen').getBoundingClientRect();
  const clamp = (v) => Math.min(1, Math.max(0, v));
  return { x: clamp((event.clientX - box.left) / box.width), y: clamp((event.clientY - box.top) / box.height), box };
}

// Cross hair and readout; `more(what lies there)` gives what the page adds to time, frequency and level.
function hover(event, more = () => []) {
  const { x, y, box } = placeOf(event);
  const [seconds, hz] = [x * page.duration, axisOf(view.axis, page.top_hz).from(1 - y)];
  const found = picture.read(active(), seconds, hz);
  const what = found.row ? [found.row] : [formatHz(hz), `${found.floor ? '\u2264 ' : ''}${inDb(found.db, 1)}`];
  const parts = [`${seconds.toFixed(page.duration < 1 ? 4 : 3)} s`, ...what, ...more(found)];
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
  document.querySelector(`input[name=${name}][value="${value}"]`).checked = true;
  if (name === 'level') player.match(value === 'matched');
  else { view[name] = value; drawLater(); $('status').textContent = `${name} ${value}`; }
}

function cycle(name) {
  const all = [...document.querySelectorAll(`input[name=${name}]`)];
  choose(name, all[(all.findIndex((input) => input.checked) + 1) % all.length].value);
}

function help() {
  $('help').showModal();
  $('help-close').focus();
}

// --- keys ------------------------------------------------------------------------------------------------------

let pointed = null; // the control that was focused by pointer: arrows and space stay with the player there
const moves = {
  arrowleft: (e) => player.seek(player.time - stepsOf(page.duration)[e.shiftKey ? 'large' : 'small']),
  arrowright: (e) => player.seek(player.time + stepsOf(page.duration)[e.shiftKey ? 'large' : 'small']),
  home: () => player.seek(0),
  end: () => player.seek(page.duration),
  ' ': () => player.toggle(),
};
const common = {
  l: () => choose('level', player.matched ? 'true' : 'matched'), r: () => player.repeat(!player.loop),
  f: () => cycle('axis'), '?': () => help(),
};

function onKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || $('help').open) return;
  const key = event.key.toLowerCase();
  const at = event.target instanceof Element ? event.target : document.body;
  const byPointer = at === pointed;
  if (at.getAttribute('role') === 'radio' && !byPointer && /^arrow/.test(key) && !event.shiftKey) return moveRadio(event, key);
  if (at.matches('select')) return undefined; // it finds its options by their letters
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
  const cards = [...$('sounds').querySelectorAll('[role=radio]:not([hidden])')];
  const step = key === 'arrowright' || key === 'arrowdown' ? 1 : -1;
  const next = cards[(cards.findIndex((card) => card.dataset.key === player.key) + step + cards.length) % cards.length];
  player.select(next.dataset.key);
  next.focus();
  event.preventDefault();
}

// --- wiring ----------------------------------------------------------------------------------------------------

function wire(more) { // buttons, keys and pointer that both pages have
  $('play').addEventListener('click', () => player.toggle());
  $('loop').addEventListener('click', () => player.repeat(!player.loop));
  wireTheme(drawLater);
  $('help-open').addEventListener('click', help);
  $('help').addEventListener('click', (event) => { if (event.target === $('help')) $('help').close(); }); // outside the panel
  $('keys-on').addEventListener('change', (event) => { view.keys = event.target.checked; });
  for (const input of document.querySelectorAll('.segmented input')) input.addEventListener('change', () => choose(input.name, input.value));
  document.querySelector('.skip').addEventListener('click', (event) => { event.preventDefault(); $('sounds').querySelector('[role=radio][tabindex="0"]').focus(); });
  document.addEventListener('keydown', onKey);
  document.addEventListener('pointerdown', () => { setTimeout(() => { pointed = document.activeElement; }); }, true);
  document.addEventListener('focusin', (event) => { if (event.target !== pointed) pointed = null; });
  $('screen').addEventListener('pointermove', (event) => hover(event, more));
  $('screen').addEventListener('pointerleave', leave);
  seekable($('screen'));
  seekable($('seek'));
  new ResizeObserver(drawLater).observe($('stage'));
}

function showScale() { // what the page says once its data are there: length, steps, floor and ceiling
  $('seek').setAttribute('aria-valuemax', page.duration.toFixed(3));
  const inWords = (seconds) => `${Number(seconds.toPrecision(3))} s`;
  $('step-small').textContent = inWords(stepsOf(page.duration).small);
  $('step-large').textContent = inWords(stepsOf(page.duration).large);
  $('floor').textContent = inDb(page.floor_db, 0);
  $('ceil').textContent = inDb(page.ceil_db, 0);
}

// --- for tests and scripts -------------------------------------------------------------------------------------

const remote = { play: () => player.play(), pause: () => player.pause(), seek: (s) => player.seek(s), select: (key) => player.select(key) };

const playerState = () => ({
  sound: player.key, time: player.time, duration: page.duration, playing: player.playing, loaded: player.loaded, loop: player.loop,
  level: player.matched ? 'matched' : 'true', gains: player.gains(), axis: view.axis, theme: isDark() ? 'dark' : 'light', error: view.error,
});
