// Versions of a sound side by side: heads that choose and play them, small spectrograms.

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

function symbol(...names) { // our own drawn symbols: no text from outside goes in here
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  svg.setAttribute('aria-hidden', 'true');
  for (const [name, className] of names) {
    const use = document.createElementNS(space, 'use');
    use.setAttribute('href', `#icon-${name}`);
    if (className) use.setAttribute('class', className);
    svg.append(use);
  }
  return svg;
}

function blank() { // where the pictures are not there one can still listen
  return { spectrogram: { shape: [1, 1], data: new Uint8Array(1) }, peaks: { shape: [2, 1], data: new Float32Array(2) }, peak: 1 };
}

function versionHead(sound) { // the button that chooses and plays a version
  const disc = element('span', 'disc', symbol(['go', 'go'], ['hold', 'hold']));
  disc.setAttribute('aria-hidden', 'true');
  const key = element('kbd', '');
  key.setAttribute('aria-hidden', 'true');
  const head = element('button', 'head-of', disc, element('span', 'name', element('bdi', '', sound.title), key), element('span', 'what', element('bdi', '', sound.note || '\u00a0')));
  head.type = 'button';
  head.setAttribute('role', 'radio');
  head.setAttribute('aria-label', sound.name);
  head.dataset.key = sound.key;
  head.addEventListener('click', () => selectAndPlay(sound.key));
  return head;
}

function thumbOf(sound) {
  const canvas = document.createElement('canvas');
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', `Spectrogram of ${sound.name}`);
  const thumb = element('div', 'thumb', canvas, document.createElement('i'));
  thumb.dataset.key = sound.key;
  thumb.addEventListener('click', (event) => {
    const box = thumb.getBoundingClientRect();
    player.select(sound.key);
    player.seek(((event.clientX - box.left) / box.width) * page.duration);
  });
  return thumb;
}

// Small spectrograms are drawn when they come into sight.
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) entry.target.dataset.near = entry.isIntersecting ? 'yes' : '';
  drawLater();
}, { rootMargin: '200px' });

function drawThumbs() {
  const [axis, ratio] = [axisOf(view.axis, page.top_hz), pixelRatio()];
  for (const thumb of $('sounds').querySelectorAll('.version:not([hidden]) .thumb[data-near=yes]')) {
    const look = `${axis.name} ${thumb.clientWidth} ${thumb.clientHeight} ${ratio}`;
    if (thumb.dataset.look === look) continue;
    thumb.dataset.look = look;
    const small = new Spectrogram(page, thumb.firstChild);
    small.resize(thumb.clientWidth, thumb.clientHeight, ratio);
    small.draw(page.sounds.find((sound) => sound.key === thumb.dataset.key), axis);
  }
}
