// The view of features: an atlas that is made in the background, and each feature heard in any clip, by any way.

const desk = { state: null, browser: null, feature: null, place: null, turn: 0 };
const itemOf = (f) => `${f.layer}|${f.number}`;

// --- what is shown -------------------------------------------------------------------------------------------------

function takeAtlas(state) {
  desk.state = state;
  const { atlas, layers } = state;
  $('atlas-panel').hidden = !atlas;
  $('make-atlas').open = !atlas;
  if (!$('make-layers').value) $('make-layers').value = (atlas ? atlas.layers.map((layer) => layer.name) : layers).join(', ');
  const named = atlas ? atlas.layers.flatMap((layer) => layer.features).filter((f) => f.name && f.name !== 'dead').length : 0;
  const count = atlas ? atlas.layers.reduce((sum, layer) => sum + layer.features.length, 0) : 0;
  $('atlas-summary').textContent = atlas
    ? `${count} features in ${atlas.layers.length} layers, ${named} with a name, looked for in ${atlas.clips} clips.`
    : 'There is no atlas of this model yet.';
  if (atlas) desk.browser = featureBrowser(atlas.layers, (f, byUser) => { if (byUser) select(itemOf(f), 'atlas'); }, false);
  if (atlas && !desk.feature) setFeature(desk.browser.current());
  if (state.job?.state === 'running' && state.job.name === 'the atlas') watchAtlas(state.job);
}

function setFeature(f) {
  desk.feature = f;
  offerClips(f);
}

function offerClips(f) { // first the clips of the atlas, then all others
  const named = (place) => `${desk.state.clips[place].file}${desk.state.clips[place].label ? ` (${desk.state.clips[place].label})` : ''}`;
  const own = (f?.clips ?? []).filter((c) => c.place >= 0);
  const groups = [
    ['In the atlas', own.map((c) => new Option(`${named(c.place)}, by ${c.why}`, String(c.place)))],
    ['All clips', desk.state.clips.map((_, place) => new Option(named(place), String(place)))],
  ].filter(([, options]) => options.length);
  $('atlas-clip').replaceChildren(...groups.map(([label, options]) => { const group = document.createElement('optgroup'); group.label = label; group.append(...options); return group; }));
  $('atlas-clip').selectedIndex = 0;
}

async function showFeature(item) {
  if (!desk.browser) return;
  if (item && (!desk.feature || itemOf(desk.feature) !== item || desk.browser.current() !== desk.feature)) {
    const [layer, number] = item.split('|');
    const found = desk.browser.choose(layer, Number(number));
    if (!found) { trouble(new Error(`The atlas has no feature ${number} of ${layer}.`)); return; }
    setFeature(found);
  }
  const f = desk.feature;
  if (!f) return;
  $('one-name').textContent = `${featureTitle(f)}: ${featureEvidence(f)}`;
  showFacts($('one-facts'), f);
  await hearFeature();
}

async function hearFeature() {
  const f = desk.feature;
  if (!f) return;
  const turn = ++desk.turn;
  const asked = new URLSearchParams({ layer: f.layer, number: f.number, clip: $('atlas-clip').value, way: $('atlas-way').value });
  const content = await attempt(() => ask(`atlas/sounds?${asked}`));
  if (!content || turn !== desk.turn) return; // something else was chosen meanwhile
  desk.place = Number($('atlas-clip').value);
  openStage(content, content.of, 'atlas/audio');
  player.select(content.silent ? '0' : '1');
  say(`${content.of} is shown`);
}

// --- the atlas -----------------------------------------------------------------------------------------------------

async function makeIt(event) {
  event.preventDefault();
  const layers = $('make-layers').value.split(',').map((name) => name.trim()).filter(Boolean);
  const found = await attempt(() => ask('atlas/make', { layers, clips: Number($('make-clips').value) }));
  if (found) watchAtlas(found.job);
}

function watchAtlas(job) {
  $('make-go').disabled = true;
  showJob(job, async () => {
    $('make-go').disabled = false;
    const state = await attempt(() => ask('atlas/state'));
    if (!state) return;
    takeAtlas(state);
    if (state.atlas) await select(view.item && view.name === 'atlas' ? view.item : itemOf(desk.feature), 'atlas');
  });
}

function nextWay() {
  $('atlas-way').selectedIndex = ($('atlas-way').selectedIndex + 1) % $('atlas-way').options.length;
  return hearFeature();
}

const withFeature = (work) => () => { if (view.name === 'atlas' && desk.feature) work(); };

views.atlas = {
  async start() {
    const state = await ask('atlas/state');
    $('atlas-way').replaceChildren(...state.ways.map((way) => new Option(way.replaceAll('_', ' '), way)));
    $('atlas-clip').addEventListener('change', hearFeature);
    $('atlas-way').addEventListener('change', hearFeature);
    $('make-form').addEventListener('submit', makeIt);
    $('make-clips').value = String(Math.min(100, state.clips.length));
    $('features').addEventListener('keydown', (event) => { if (event.key === 'Enter' && player) { event.preventDefault(); player.play(); } });
    takeAtlas(state);
  },
  show: showFeature,
  letters: { n: withFeature(() => desk.browser.move(1)), p: withFeature(() => desk.browser.move(-1)), w: withFeature(nextWay) },
  state: () => ({
    atlas: Boolean(desk.state?.atlas), found: desk.browser?.shown() ?? 0, feature: desk.feature && itemOf(desk.feature), clip: desk.place,
    way: $('atlas-way').value, versions: page?.sounds.map((sound) => sound.title) ?? [], job: $('job').hidden ? null : $('job-text').textContent,
  }),
};
