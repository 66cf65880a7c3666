// The listening page: clips and their versions. A page on disk may not read other files, but it may load scripts: one
// carries the pictures of a clip and is loaded when the clip is shown, another carries its sounds and is loaded on playback.

const all = JSON.parse($('data').textContent);
$('data').remove();

const view = { clip: 0, network: 'all', start: 'all', show: 'reconstruction', axis: 'mel', keys: true, error: null };
const loaded = { pictures: new Map(), sounds: new Map() }; // by the number of their clip
let page, player, picture;
let [before, current] = [null, null]; // the version that was heard before, and this one

// --- the parts of a clip -----------------------------------------------------------------------------------------

function part(kind, place) {
  const kept = loaded[kind];
  if (kept.has(place)) return Promise.resolve(kept.get(place));
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = `./page/${kind}-${place}.js`;
    const lacking = `The ${kind} of this clip could not be opened: page/${kind}-${place}.js. Keep the folder of this page together.`;
    script.onload = script.onerror = () => { script.remove(); if (kept.has(place)) resolve(kept.get(place)); else reject(new Error(lacking)); };
    document.head.append(script);
  });
}

function take(kind, place, content) { // called by the scripts
  loaded[kind].set(place, content);
  if (loaded[kind].size > 3) loaded[kind].delete([...loaded[kind].keys()].find((key) => key !== place)); // some megabytes each
}

// --- opening a clip ----------------------------------------------------------------------------------------------

async function open(place) {
  view.clip = place;
  const clip = all.clips[place];
  $('clip').value = String(place);
  $('count').textContent = `${place + 1} of ${all.clips.length}`;
  $('previous').disabled = place === 0;
  $('next').disabled = place === all.clips.length - 1;
  try { history.replaceState(null, '', `#clip-${place + 1}`); } catch (error) { /* a frame without an address */ }
  let pictures = null;
  let trouble = null;
  try { pictures = await part('pictures', place); } catch (error) { trouble = error.message; }
  if (view.clip === place) put(place, pictures ?? clip.sounds.map(blank), trouble);
}

function put(place, pictures, trouble) {
  const clip = all.clips[place];
  const last = player;
  const kept = last && active();
  page = {
    sample_rate: all.sample_rate, top_hz: all.sample_rate / 2, floor_db: all.floor_db, ceil_db: all.ceil_db, duration: clip.duration,
    bytesOf: async (sound) => decodeBase64((await part('sounds', place))[Number(sound.key)]).buffer,
    sounds: clip.sounds.map((sound, i) => ({ ...sound, ...pictures[i], key: String(i), audio: null, name: sound.note && i ? `${sound.title}, ${sound.note}` : sound.title })),
  };
  player = new Player(page, heard, failed);
  const same = kept && page.sounds.find((s) => ['kind', 'network', 'start', 'title'].every((name) => s[name] === kept[name]));
  if (same) player.key = same.key;
  picture = new Spectrogram(page, $('picture'));
  [before, current] = [null, player.key];
  view.error = null;
  $('failure').hidden = true;
  $('play').disabled = false;
  if (trouble) { view.error = trouble; showFailure(trouble); }
  $('length').textContent = formatTime(page.duration);
  showScale();
  build(clip);
  carryOn(last);
  filter();
  drawLater();
}

function carryOn(last) { // level, loop and whether it plays stay from clip to clip
  if (!last) return;
  const playing = last.playing || last.wanted;
  player.matched = last.matched;
  player.loop = last.loop;
  last.release();
  if (playing) player.play();
}

// --- the versions side by side -----------------------------------------------------------------------------------

function build(clip) {
  seen.disconnect();
  $('sounds').replaceChildren(...page.sounds.map((sound) => versionCard(sound, clip)));
  for (const thumb of $('sounds').querySelectorAll('.thumb')) seen.observe(thumb);
}

function versionCard(sound, clip) {
  const card = element('div', `version ${sound.kind}`, versionHead(sound), thumbOf(sound));
  if (sound.si_sdr) card.append(element('p', 'measure', 'SI-SDR to the original ', element('b', '', sound.si_sdr)));
  for (const [name, value] of sound.facts) card.append(element('p', 'measure', `${name} `, element('b', '', value)));
  if (sound.said.length) card.append(saidOf(sound, clip));
  return card;
}

function saidOf(sound, clip) {
  const rows = sound.said.map(({ network, label, p, right }) => {
    const name = element('th', '', element('bdi', '', network));
    name.scope = 'row';
    if (sound.kind === 'reconstruction' && sound.title === network) name.append(element('span', 'chip', 'own'));
    const mark = element('td', 'mark', symbol([right ? 'good' : 'poor', '']), element('span', 'hidden', right ? 'right' : 'wrong'));
    mark.firstChild.setAttribute('class', 'icon');
    mark.title = right ? 'right' : `wrong: the label is ${clip.label}`;
    return element('tr', right ? 'right' : 'wrong', name, element('td', 'label', element('bdi', '', label)), element('td', 'p', p), mark);
  });
  const table = element('table', 'said', element('tbody', '', ...rows));
  table.setAttribute('aria-label', `Predictions of the networks for ${sound.name}`);
  return table;
}

// --- which of them are shown -------------------------------------------------------------------------------------

function shows(sound) {
  if (sound.kind === 'original' || sound.kind === 'control') return true;
  const named = (kind, value) => view[kind] === 'all' || all[`${kind}s`][Number(view[kind])].name === value;
  return (view.show === 'both' || view.show === sound.kind) && named('network', sound.network) && named('start', sound.start);
}

const shown = () => page.sounds.filter(shows);

function filter() {
  const list = shown();
  for (const card of $('sounds').children) {
    const head = card.querySelector('.head-of');
    const place = list.findIndex((sound) => sound.key === head.dataset.key);
    card.hidden = head.hidden = place < 0;
    const key = head.querySelector('kbd');
    key.textContent = String(place + 1);
    key.hidden = place < 0 || place > 8;
  }
  if (!list.includes(active())) player.select(page.sounds[0].key);
  showSounds();
  drawLater();
}

function show(name, value) { // a filter, as if it were clicked
  document.querySelector(`input[name=${name}][value="${value}"]`).checked = true;
  view[name] = value;
  filter();
}

// --- showing -----------------------------------------------------------------------------------------------------

function heard(what) {
  if (what === 'select') [before, current] = [current, player.key];
  changed(what);
}

function draw() {
  if (!page) return;
  const sound = active();
  drawStage({ original: 'original', control: 'soft', reconstruction: 'kept', difference: 'removed' }[sound.kind], describe(sound.name));
  drawThumbs();
  $('legend-db').querySelector('i').style.background = gradient(MAGMA);
}

// --- keys --------------------------------------------------------------------------------------------------------

function go(key) {
  player.select(key);
  $('sounds').querySelector(`.head-of[data-key="${key}"]`).scrollIntoView({ block: 'nearest' });
}

function stepVersion(step) {
  const list = shown();
  const place = list.findIndex((sound) => sound.key === player.key);
  go(list[(place + step + list.length) % list.length].key);
}

function toTwin() { // from a reconstruction to its difference, and back
  const { kind, network, start } = active();
  const other = { reconstruction: 'difference', difference: 'reconstruction' }[kind];
  const twin = page.sounds.find((s) => s.kind === other && s.network === network && s.start === start);
  if (!twin) return;
  if (!shows(twin)) show('show', 'both');
  go(twin.key);
}

function stepClip(step) {
  const place = view.clip + step;
  if (place >= 0 && place < all.clips.length) open(place);
}

const letters = {
  ...common, a: () => go(page.sounds[0].key), j: () => stepVersion(1), k: () => stepVersion(-1), d: toTwin,
  x: () => { const back = shown().find((sound) => sound.key === before) ?? shown().find((sound) => sound.key !== player.key); if (back) go(back.key); },
  n: () => stepClip(1), p: () => stepClip(-1),
};
for (let i = 1; i <= 9; i++) letters[i] = () => { const sound = shown()[i - 1]; if (sound) go(sound.key); };

// --- wiring ------------------------------------------------------------------------------------------------------

$('clip').addEventListener('change', (event) => open(Number(event.target.value)));
$('previous').addEventListener('click', () => stepClip(-1));
$('next').addEventListener('click', () => stepClip(1));
const fromAddress = () => {
  const place = Number(/^#clip-(\d+)$/.exec(location.hash)?.[1] ?? 1) - 1;
  return Math.min(Math.max(place, 0), all.clips.length - 1);
};
addEventListener('hashchange', () => { if (fromAddress() !== view.clip) open(fromAddress()); });

window.otoscope = {
  pictures: (place, list) => { list.forEach(unpackSound); take('pictures', place, list); },
  sounds: (place, list) => take('sounds', place, list),
  state: () => ({
    ...playerState(), clip: view.clip, name: active().name, kind: active().kind, sound_parts: [...loaded.sounds.keys()], shown: shown().map((sound) => sound.name),
  }),
  ...remote, open,
};
window.otoscope.ready = open(fromAddress()).then(() => {
  wire();
  for (const name of ['network', 'start', 'show']) {
    for (const input of document.querySelectorAll(`input[name=${name}]`)) input.addEventListener('change', () => { filter(); $('status').textContent = `${shown().length} versions shown`; });
  }
  showTheme();
});
