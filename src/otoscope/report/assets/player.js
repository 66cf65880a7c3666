// The player: sounds of one length that switch without losing the place.
// Two engines with one face, load / start / stop / position / setLevels / setLoop / release:
// BufferEngine for sounds whose bytes the page has, or gets by its `bytesOf` (WebAudio, all sources in step), ElementEngine for
// linked ones (<audio>).

const FADE = 0.01; // s, crossfade when the sound, the level or the place changes

function decodeBase64(text) {
  const raw = atob(text);
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

function ramp(param, value, now) {
  if (param.cancelAndHoldAtTime) param.cancelAndHoldAtTime(now);
  else { const held = param.value; param.cancelScheduledValues(now); param.setValueAtTime(held, now); }
  param.linearRampToValueAtTime(value, now + FADE);
}

function lost(sound) { return `The sound “${sound.name}” could not be opened: ${decodeURIComponent(sound.href)}. Keep the audio files in the folder of this page.`; }

class BufferEngine {
  constructor(page, ended) {
    this.page = page;
    this.ended = ended;
    this.buffers = {};
    this.voice = null;
  }

  get context() { return BufferEngine.context; }

  async load() { await Promise.all(this.page.sounds.map((sound) => this.loadOne(sound))); }

  async loadOne(sound) {
    const bytes = sound.audio === null ? await this.page.bytesOf(sound) : decodeBase64(sound.audio).buffer;
    try {
      this.buffers[sound.key] = await this.decode(bytes);
    } catch (error) {
      throw new Error(`This browser cannot decode the sound “${sound.name}” (${sound.mime}). Try a current Chrome, Edge, Firefox or Safari, or play the audio files in the folder of this page.`);
    }
    sound.audio = null; // decoded: the text is not needed again
  }

  get rate() { return Math.min(96000, Math.max(8000, this.page.sample_rate)); }

  decode(bytes) { return new OfflineAudioContext(1, 1, this.rate).decodeAudioData(bytes); }

  // At the first play, when the browser allows it. At the rate of the sounds: a source of another rate is joined by
  // straight lines, which takes 1 dB of 32 kHz sound at 6 kHz and 3 dB at 10 kHz.
  wake() {
    BufferEngine.context ??= new (window.AudioContext || window.webkitAudioContext)({ latencyHint: 'interactive', sampleRate: this.rate });
    if (this.context.state !== 'running') this.context.resume().catch(() => {});
  }

  start(at, levels, loop) {
    this.wake();
    const context = this.context;
    this.drop();
    const now = context.currentTime;
    const voice = { at, begin: now, out: context.createGain(), gains: {}, sources: {} };
    voice.out.gain.setValueAtTime(0, now);
    voice.out.gain.linearRampToValueAtTime(1, now + FADE);
    voice.out.connect(context.destination);
    for (const [key, buffer] of Object.entries(this.buffers)) {
      const source = context.createBufferSource();
      const gain = context.createGain();
      source.buffer = buffer;
      source.loop = loop;
      gain.gain.setValueAtTime(levels[key], now);
      source.connect(gain).connect(voice.out);
      source.start(now, Math.min(at, buffer.duration));
      voice.gains[key] = gain;
      voice.sources[key] = source;
    }
    voice.sources[this.page.sounds[0].key].onended = () => { if (this.voice === voice) { this.voice = null; this.ended(); } };
    this.voice = voice;
    this.loop = loop;
  }

  drop() { // fade the old voice out and let it go
    const voice = this.voice;
    if (!voice) return;
    this.voice = null;
    const now = this.context.currentTime;
    ramp(voice.out.gain, 0, now);
    for (const source of Object.values(voice.sources)) { source.onended = null; source.stop(now + 2 * FADE); }
    setTimeout(() => voice.out.disconnect(), 100);
  }

  stop() { this.drop(); }

  release() { this.drop(); this.buffers = {}; }

  position() {
    if (!this.voice) return null;
    const passed = this.voice.at + this.context.currentTime - this.voice.begin;
    const length = this.page.duration;
    return this.loop ? passed % length : Math.min(passed, length);
  }

  setLevels(levels) {
    if (!this.voice) return;
    for (const [key, gain] of Object.entries(this.voice.gains)) ramp(gain.gain, levels[key], this.context.currentTime);
  }

  setLoop(loop) {
    if (this.voice) {
      this.voice.at = this.position();
      this.voice.begin = this.context.currentTime;
      for (const source of Object.values(this.voice.sources)) source.loop = loop;
    }
    this.loop = loop;
  }
}

class ElementEngine {
  constructor(page, ended) {
    this.page = page;
    this.ended = ended;
    this.elements = {};
    this.active = null;
  }

  load() {
    return Promise.all(this.page.sounds.map((sound) => new Promise((resolve, reject) => {
      const audio = new Audio();
      audio.preload = 'metadata';
      audio.onloadedmetadata = resolve;
      audio.onerror = () => reject(new Error(sound.href
        ? lost(sound)
        : `This browser cannot decode the sound “${sound.name}” (${sound.mime}).`));
      audio.onended = () => { if (this.active === audio) { this.active = null; this.ended(); } };
      audio.src = sound.href ?? URL.createObjectURL(new Blob([decodeBase64(sound.audio)], { type: sound.mime }));
      this.elements[sound.key] = audio;
    })));
  }

  start(at, levels, loop, key) {
    const audio = this.elements[key];
    this.stop();
    this.active = audio;
    this.setLevels(levels);
    this.setLoop(loop);
    audio.currentTime = at;
    return this.go(audio);
  }

  go(audio) { return audio.play().catch((error) => { if (error.name !== 'AbortError') throw error; }); }

  stop() {
    for (const audio of Object.values(this.elements)) audio.pause();
    this.active = null;
  }

  release() { // browsers keep only so many players
    this.stop();
    for (const audio of Object.values(this.elements)) { audio.onerror = audio.onended = null; audio.removeAttribute('src'); audio.load(); }
    this.elements = {};
  }

  position() { return this.active ? this.active.currentTime : null; }

  setLevels(levels, key) {
    const loudest = Math.max(1, ...Object.values(this.page.levels)); // .volume ends at 1
    for (const [name, audio] of Object.entries(this.elements)) audio.volume = levels[name] / loudest;
    const next = key && this.elements[key];
    if (!next || !this.active || next === this.active) return;
    const last = this.active;
    next.currentTime = last.currentTime;
    this.active = next;
    this.go(next).then(() => { if (this.active !== last) last.pause(); });
  }

  wake() {}

  setLoop(loop) { for (const audio of Object.values(this.elements)) audio.loop = loop; }
}

class Player {
  constructor(page, changed, failed) {
    this.page = page;
    this.changed = changed; // called with a word for what changed
    this.failed = failed;
    this.key = page.sounds[0].key;
    this.matched = false;
    this.loop = false;
    this.playing = false;
    this.loaded = false;
    this.held = 0; // the place while nothing plays, s
    const ended = () => { this.playing = false; this.held = page.duration; this.changed('end'); };
    this.linked = page.sounds.some((sound) => sound.audio === null) && !page.bytesOf;
    this.engine = new (this.linked ? ElementEngine : BufferEngine)(page, ended);
    this.page.levels = this.gains();
    this.ready = null;
    this.wanted = false; // to be played as soon as it is loaded
    this.broken = false;
  }

  load() {
    const done = () => {
      this.loaded = true;
      this.changed('ready');
      if (this.wanted) this.play();
    };
    const broken = (error) => { this.broken = true; this.failed(error.message); };
    this.ready ??= this.engine.load().then(done, broken);
    return this.ready;
  }

  release() {
    this.playing = this.wanted = false;
    this.engine.release();
    this.changed = this.failed = () => {};
  }

  // Gain of each sound that makes it true or matched; all are turned down together where one would clip.
  gains() {
    const wanted = this.page.sounds.map((sound) => (this.matched ? sound.match_gain ?? 1 : 1));
    const peak = Math.max(...this.page.sounds.map((sound, i) => wanted[i] * sound.peak));
    this.headroom = peak > 1 ? 1 / peak : 1;
    return Object.fromEntries(this.page.sounds.map((sound, i) => [sound.key, (sound.gain ?? 1) * wanted[i] * this.headroom]));
  }

  levels() {
    this.page.levels = this.gains();
    return Object.fromEntries(Object.entries(this.page.levels).map(([key, gain]) => [key, key === this.key ? gain : 0]));
  }

  get time() { return (this.playing ? this.engine.position() : null) ?? this.held; }

  start(at) {
    Promise.resolve(this.engine.start(at, this.levels(), this.loop, this.key)).catch((error) => {
      this.playing = false;
      this.failed(`This sound cannot be played: ${error.message}`);
    });
  }

  play() {
    if (this.playing || this.broken) return;
    if (!this.loaded) return this.fetchFirst();
    if (this.held >= this.page.duration - 0.005) this.held = 0;
    this.playing = true;
    this.start(this.held);
    this.changed('play');
  }

  fetchFirst() {
    this.wanted = true;
    this.engine.wake();
    this.load();
    this.changed('load');
  }

  pause() {
    this.wanted = false;
    if (!this.playing) return;
    this.held = this.time;
    this.playing = false;
    this.engine.stop();
    this.changed('pause');
  }

  toggle() { if (this.playing || this.wanted) this.pause(); else this.play(); }

  seek(seconds) {
    const length = this.page.duration;
    this.held = Math.min(length, Math.max(0, Number(seconds) || 0));
    if (this.playing && this.held >= length && !this.loop) { this.playing = false; this.engine.stop(); this.changed('end'); }
    else if (this.playing) this.start(this.held % length);
    this.changed('seek');
  }

  select(key) {
    if (key === this.key || !this.page.sounds.some((sound) => sound.key === key)) return;
    this.key = key;
    this.engine.setLevels(this.levels(), key);
    this.changed('select');
  }

  match(on) {
    if (on === this.matched) return;
    this.matched = on;
    this.engine.setLevels(this.levels(), this.key);
    this.changed('level');
  }

  repeat(on) {
    this.loop = on;
    this.engine.setLoop(on);
    this.changed('loop');
  }
}
