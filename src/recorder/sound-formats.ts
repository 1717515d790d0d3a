/** How sound of a codec is recorded: as it comes, in the container that holds it. */
export interface SoundFormat {
  container: 'mp4' | 'mov'
  /** What FFmpeg must be told besides. */
  args?: string[]
}

/**
 * By FFmpeg's name of the codec. Nothing is encoded while it is recorded: FFmpeg would wait for the
 * first sound before it writes any picture, and a microphone may be off. MOV holds what MP4 doesn't;
 * the uploader makes AAC of it. Tried with FFmpeg 5.1, 7.1 and 9.0.
 */
const formats: Record<string, SoundFormat> = {
  aac: { container: 'mp4' },
  opus: { container: 'mp4' },
  mp3: { container: 'mov' },
  mp2: { container: 'mov' },
  pcm_alaw: { container: 'mov' },
  pcm_mulaw: { container: 'mov' },
  pcm_s16be: { container: 'mov' },
  adpcm_g722: { container: 'mov' },
  speex: { container: 'mov' },
  vorbis: { container: 'mp4' },
}

/** Undefined for what can't be recorded. */
export function soundFormat(codec: string): SoundFormat | undefined {
  return formats[codec]
}
