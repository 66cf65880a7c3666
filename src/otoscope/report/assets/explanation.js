// The report: reads the data, ties player and pictures to its buttons and keys.

const page = JSON.parse($('data').textContent);
$('data').remove();
for (const name of ['attribution', 'mask']) page[name] = unpack(page[name]);
for (const name of ['frequencies', 'times']) page[name] = unpack(page[name]).data;
page.sounds.forEach(unpackSound);

const view = { axis: 'mel', overlay: 'none', opacity: 0.85, error: null, keys: true };
const picture = new Picture(page, $('picture'));
const player = new Player(page, changed, failed);
const letters = {
  ...common, a: () => player.select('original'), b: () => player.select('kept'), c: () => player.select('removed'), o: () => cycle('overlay'),
};

// --- showing ---------------------------------------------------------------------------------------------------

function draw() {
  const sound = active();
  drawStage(sound.key, label(sound), view.overlay, view.opacity);
  for (const name of ['attribution', 'mask']) $(`legend-${name}`).hidden = view.overlay !== name;
  $('legend-db').hidden = page.rows.length > 0 && view.overlay !== 'none';
  $('legend-db').querySelector('i').style.background = gradient(view.overlay === 'attribution' ? GREY : MAGMA);
}

function label(sound) {
  if (page.rows.length && view.overlay !== 'none') {
    return `The ${view.overlay} of ${page.rows.length} parts of the sound, from the lowest up: ${page.rows.map((_, row) => picture.laneText(view.overlay, row)).join(', ')}`;
  }
  return describe(`the sound ${sound.name}`, { none: '', attribution: ', with the attribution over it', mask: `, with what is ${page.captions.dark} darkened` }[view.overlay]);
}

function legends() {
  $('opacity').closest('label').hidden = page.rows.length > 0;
  const more = picture.capped ? '\u2264 ' : '';
  const unit = page.captions.unit && ` ${page.captions.unit}`;
  $('against').textContent = `${page.captions.against} ${more}${signed(-picture.limit, 2)}${unit}`;
  $('for').textContent = `${picture.capped ? '\u2265 ' : ''}${signed(picture.limit, 2)}${unit} ${page.captions.favour}`;
  $('legend-attribution').querySelector('i').style.background = `linear-gradient(90deg,rgb(${AGAINST}),#26282d,rgb(${FOR}))`;
  $('legend-mask').querySelector('i').style.background = 'linear-gradient(90deg,#0e1116,#e55064)';
}

function evidenceAt({ attribution, mask }) {
  if (page.rows.length && view.overlay === 'none') return [];
  const parts = [attribution === null ? 'outside the grid' : `attribution ${signed(attribution)}${page.captions.unit && ` ${page.captions.unit}`}`];
  return mask === null ? parts : [...parts, `mask ${mask.toFixed(2)}`];
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

// --- wiring ----------------------------------------------------------------------------------------------------

for (const card of $('sounds').querySelectorAll('[role=radio]')) card.addEventListener('click', () => selectAndPlay(card.dataset.key));
$('copy').addEventListener('click', copyRecord);
$('opacity').addEventListener('input', (event) => {
  view.opacity = Number(event.target.value) / 100;
  $('opacity-now').textContent = `${event.target.value}\u00a0%`;
  drawLater();
});
addEventListener('beforeprint', () => { for (const fold of document.querySelectorAll('details')) fold.open = true; });
wire(evidenceAt);
showScale();
legends();
showSounds();
showTheme();
player.load();

window.otoscope = {
  ...remote, ready: player.ready, state: () => ({ ...playerState(), mode: player.linked ? 'linked' : 'embedded', overlay: view.overlay, opacity: view.opacity }),
};
