// The frame of the studio: requests with the token, one stage, one selection that is kept in the address, one job.

const all = JSON.parse($('data').textContent);
$('data').remove();
const token = new URLSearchParams(location.search).get('token') ?? '';
const views = {}; // name -> { start(), show(item), letters }, filled by the scripts of the views
const view = { axis: 'mel', keys: true, error: null, name: all.views[0]?.name ?? null, item: null };
let page, player, picture;
let wired = false; // once there is something to listen to

async function ask(path, body) {
  const options = { headers: { 'X-Otoscope-Token': token } };
  if (body !== undefined) Object.assign(options, { method: 'POST', body: JSON.stringify(body), headers: { ...options.headers, 'Content-Type': 'application/json' } });
  let answer;
  try { answer = await fetch(`/api/${path}`, options); } catch (error) { throw new Error('The studio does not answer. Is it still running? Edits that were made are kept.'); }
  if (answer.ok) return answer.headers.get('content-type') === 'audio/wav' ? answer.arrayBuffer() : answer.json();
  const found = await answer.json().catch(() => ({ error: `the studio answered ${answer.status}` }));
  throw Object.assign(new Error(found.error), { status: answer.status });
}

function trouble(error) {
  $('trouble').textContent = error ? error.message ?? String(error) : '';
  $('trouble').hidden = !error;
}

function say(words) { $('status').textContent = words; }

// Run what a button does; what goes wrong is shown, not lost.
async function attempt(work) {
  trouble(null);
  try { return await work(); } catch (error) { trouble(error); return undefined; }
}

// --- the selection ---------------------------------------------------------------------------------------------

function select(item, name = view.name) { // in the address, so that a reload and a link show the same
  const hash = `#${name}${item === null ? '' : `/${encodeURIComponent(item)}`}`;
  if (location.hash !== hash) history.replaceState(null, '', hash);
  showView(name);
  view.item = item;
  return views[name]?.show(item);
}

function fromAddress() {
  const [name, item] = location.hash.slice(1).split('/');
  const known = all.views.some((v) => v.name === name);
  return { name: known ? name : view.name, item: known && item ? decodeURIComponent(item) : null };
}

function showView(name) {
  view.name = name;
  for (const v of all.views) {
    $(`view-${v.name}`).hidden = $(`below-${v.name}`).hidden = v.name !== name;
    document.querySelector(`.views [data-view="${v.name}"]`)?.toggleAttribute('aria-current', v.name === name);
  }
}

// --- the stage -------------------------------------------------------------------------------------------------

function openStage(content, title, path) { // sounds of one length, with pictures; their bytes are fetched when they are played
  const last = player;
  page = {
    sample_rate: content.sample_rate, top_hz: content.sample_rate / 2, floor_db: -100, ceil_db: 0, duration: content.duration,
    bytesOf: (sound) => ask(`${path}/${sound.sound}`),
    sounds: content.versions.map((version, i) => {
      const sound = { ...version, key: String(i), audio: null, gain: 1, name: `${version.title}, ${version.note}` };
      unpackSound(sound);
      return sound;
    }),
  };
  player = new Player(page, changed, failed);
  if (last) {
    [player.matched, player.loop] = [last.matched, last.loop];
    const playing = last.playing || last.wanted;
    last.release();
    if (playing) player.play();
  }
  picture = new Spectrogram(page, $('picture'));
  view.error = null;
  $('failure').hidden = true;
  $('play').disabled = false;
  $('heard-title').textContent = title;
  $('length').textContent = formatTime(page.duration);
  showScale();
  seen.disconnect();
  $('sounds').replaceChildren(...page.sounds.map(stageCard));
  for (const thumb of $('sounds').querySelectorAll('.thumb')) seen.observe(thumb);
  showSounds();
  drawLater();
  if (!wired) { wired = true; wire(); }
}

function stageCard(sound, i) {
  const head = versionHead(sound);
  head.querySelector('kbd').textContent = String(i + 1);
  const card = element('div', `version ${sound.kind}`, head, thumbOf(sound));
  for (const [name, value] of sound.facts) card.append(element('p', 'measure', `${name} `, element('b', '', value)));
  const rows = sound.said.map(({ label, p }) => element('tr', '', element('td', 'label', element('bdi', '', label)), element('td', 'p', p)));
  const table = element('table', 'said', element('tbody', '', ...rows));
  table.setAttribute('aria-label', `What the network says of ${sound.name}`);
  card.append(table);
  return card;
}

function draw() {
  if (!page) return;
  const sound = active();
  drawStage({ original: 'original', reconstruction: 'kept', kept: 'kept', removed: 'removed' }[sound.kind], describe(sound.name));
  drawThumbs();
  $('legend-db').querySelector('i').style.background = gradient(MAGMA);
}

const letters = { ...common };
for (let i = 1; i <= 9; i++) letters[i] = () => { const sound = page.sounds[i - 1]; if (sound) player.select(sound.key); };

// --- the job ---------------------------------------------------------------------------------------------------

let watching = null;

function showJob(job, ended = () => {}) {
  $('job').hidden = job?.state !== 'running';
  if (!job) return;
  if (job.state !== 'running') { jobEnded(job, ended); return; }
  $('job-text').textContent = `${job.name[0].toUpperCase()}${job.name.slice(1)}: ${job.done} of ${job.total}${job.loss === null ? '' : `, loss ${job.loss.toFixed(3)}`}`;
  $('job-bar').value = job.total ? job.done / job.total : 0;
  clearTimeout(watching);
  watching = setTimeout(async () => {
    const found = await attempt(() => ask('job'));
    if (!found) { showJob(job, ended); return; } // asked again
    if (found.job?.state === 'running') { showJob(found.job, ended); return; }
    jobEnded(found.job, ended);
  }, 250);
}

async function jobEnded(job, ended) {
  $('job').hidden = true;
  say(`${job?.name ?? 'the job'}: ${job?.state ?? 'unknown'}`);
  await ended(job);
  if (job?.state === 'failed') trouble(new Error(job.error)); // last, since what `ended` asks for clears it
}
