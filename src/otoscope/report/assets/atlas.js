// The atlas's page: the features, and the sounds of the chosen one beside it.

const atlas = JSON.parse($('data').textContent);

function clipRow(c) {
  const row = textElement('div', 'clip', '');
  const label = `${c.clip}${c.label ? ` (${c.label})` : ''}, from ${asNumber(c.start_s)} s`;
  row.append(textElement('span', '', `By ${c.why}: ${label}`), soundOf(c.original, 'Original'));
  if (c.heard) row.append(soundOf(c.heard, 'Auralised'), textElement('span', 'none', `kept ${asNumber(c.kept)}, selectivity ${asNumber(c.selectivity)}`));
  return row;
}

function soundOf(file, name) {
  const label = textElement('label', '', `${name} `);
  const player = document.createElement('audio');
  player.controls = true;
  player.preload = 'none';
  player.src = file;
  player.dataset.kind = name;
  player.setAttribute('aria-label', name);
  label.append(player);
  return label;
}

function play(kind = 'Auralised') {
  for (const other of document.querySelectorAll('audio')) other.pause();
  const player = document.querySelector(`audio[data-kind="${kind}"]`) ?? document.querySelector('#one audio');
  if (player) { player.currentTime = 0; player.play().catch(() => {}); }
}

function showOne(f, byUser) {
  $('one').hidden = !f;
  if (!f) return;
  $('one-title').textContent = featureTitle(f);
  $('one-name').textContent = featureEvidence(f);
  $('one-clips').replaceChildren(...f.clips.map(clipRow));
  showFacts($('one-facts'), f);
  if (byUser) play();
}

const features = featureBrowser(atlas.layers, showOne);
$('features').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' || event.key === 'a') { event.preventDefault(); play(); }
  if (event.key === 'o') { event.preventDefault(); play('Original'); }
});
wireTheme();
window.otoscope = { state: () => { const f = features.current(); return { shown: features.shown(), chosen: f && `${f.layer} ${f.number}` }; } };
