// The player: three sounds of one length that switch without losing the place.
// Two engines with one face, load / start / stop / position / setLevels / setLoop:
// BufferEngine for embedded sounds (WebAudio, three sources in step), ElementEngine for linked ones (<audio>).

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

class BufferEngine {
  constructor(page, ended) {
    this.page = page;
    this.ended = ended;
    this.buffers = {};
    this.context = null; // made at the first play, when the browser allows it
    this.voice = null;
  }

  async load() {
    for (const sound of this.page.sounds) {
      try {
        this.buffers[sound.key] = await this.decode(decodeBase64(sound.audio).buffer);
      } catch (error) {
        throw new Error(`This browser cannot decode the sound “${sound.name}” (${sound.mime}). Try a current Chrome, Edge, Firefox or Safari, or listen to the audio files beside this page.`);
      }
      sound.audio = null; // decoded: the text is not needed again
    }
  }

  decode(bytes) {
    const rate = Math.min(96000, Math.max(8000, this.page.sample_rate));
    return new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);
  }

  start(at, levels, loop) {
    this.context ??= new (window.AudioContext || window.webkitAudioContext)({ latencyHint: 'interactive' });
    const context = this.context;
    if (context.state !== 'running') context.resume().catch(() => {});
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
    voice.sources.original.onended = () => { if (this.voice === voice) { this.voice = null; this.ended(); } };
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
        ? `The sound “${sound.name}” could not be opened: ${decodeURIComponent(sound.href)}. Keep the audio files in the folder of this page.`
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

  setLoop(loop) { for (const audio of Object.values(this.elements)) audio.loop = loop; }
}

class Player {
  constructor(page, changed, failed) {
    this.page = page;
    this.changed = changed; // called with a word for what changed
    this.failed = failed;
    this.key = 'original';
    this.matched = false;
    this.loop = false;
    this.playing = false;
    this.loaded = false;
    this.held = 0; // the place while nothing plays, s
    const ended = () => { this.playing = false; this.held = page.duration; changed('end'); };
    this.linked = page.sounds.some((sound) => sound.audio === null);
    this.engine = new (this.linked ? ElementEngine : BufferEngine)(page, ended);
    this.page.levels = this.gains();
    this.ready = this.engine.load().then(() => { this.loaded = true; this.changed('ready'); }, (error) => this.failed(error.message));
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
    if (this.playing || !this.loaded) return;
    if (this.held >= this.page.duration - 0.005) this.held = 0;
    this.playing = true;
    this.start(this.held);
    this.changed('play');
  }

  pause() {
    if (!this.playing) return;
    this.held = this.time;
    this.playing = false;
    this.engine.stop();
    this.changed('pause');
  }

  toggle() { if (this.playing) this.pause(); else this.play(); }

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
