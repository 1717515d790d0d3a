import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  splitAdts,
  splitEvenly,
  splitVideo,
  type VideoCodec,
  type VideoFrame,
} from './elementary-stream.ts'

export interface VideoClip {
  codec: VideoCodec
  fps: number
  /** H.264: SPS, PPS. HEVC: VPS, SPS, PPS. */
  parameterSets: Buffer[]
  frames: VideoFrame[]
}

export interface AudioClip {
  codec: 'aac' | 'pcmu' | 'pcma'
  sampleRate: number
  samplesPerFrame: number
  frames: Buffer[]
  /** AAC's AudioSpecificConfig; empty for the others. */
  config: Buffer
}

/** A few seconds of encoded video and audio that a camera repeats for ever. */
export interface Clip {
  video: VideoClip
  audio: AudioClip | undefined
}

export interface ClipOptions {
  video: VideoCodec
  audio: AudioClip['codec'] | 'none'
  width: number
  height: number
  fps: number
  durationSeconds: number
  gopSeconds: number
  videoKbps: number
  /** Of AAC; G.711 always has 8 kHz. */
  sampleRate: number
}

const DEFAULTS: ClipOptions = {
  video: 'h264',
  audio: 'aac',
  width: 640,
  height: 360,
  fps: 25,
  durationSeconds: 10,
  gopSeconds: 1,
  videoKbps: 800,
  sampleRate: 16_000,
}

const G711_SAMPLE_RATE = 8000

/** Encodes a clip with FFmpeg, or takes it from the cache folder if it was made before. */
export async function makeClip(
  overrides: Partial<ClipOptions> = {},
  cacheFolder?: string,
): Promise<Clip> {
  const options = { ...DEFAULTS, ...overrides }
  if (options.audio !== 'aac') options.sampleRate = G711_SAMPLE_RATE
  const args = encoderArgs(options)
  const parent = cacheFolder ?? tmpdir()
  const key = createHash('sha256').update(args.join('\n')).digest('hex').slice(0, 16)
  const cached = join(parent, `clip-${key}`)
  if (cacheFolder && existsSync(cached)) return readClip(cached, options)

  const fresh = `${cached}.${randomUUID()}`
  await mkdir(fresh, { recursive: true })
  try {
    await promisify(execFile)('ffmpeg', args, { cwd: fresh })
    const clip = await readClip(fresh, options)
    if (cacheFolder) await keep(fresh, cached)
    return clip
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
}

async function keep(fresh: string, cached: string): Promise<void> {
  try {
    await rename(fresh, cached)
  } catch (error) {
    // Another process made the same clip in the meantime: its result is as good.
    if (!existsSync(cached)) throw error
  }
}

async function readClip(folder: string, options: ClipOptions): Promise<Clip> {
  const video = splitVideo(options.video, await readFile(join(folder, 'video')))
  const { audio: codec, sampleRate } = options
  return {
    video: { codec: options.video, fps: options.fps, ...video },
    audio:
      codec === 'none'
        ? undefined
        : { codec, sampleRate, ...splitAudio(codec, await readFile(join(folder, 'audio'))) },
  }
}

function splitAudio(codec: AudioClip['codec'], stream: Buffer) {
  if (codec === 'aac') return { samplesPerFrame: 1024, ...splitAdts(stream) }
  const samplesPerFrame = 320 // 40 ms; one byte a sample
  const frames = splitEvenly(stream, samplesPerFrame)
  return { samplesPerFrame, frames, config: Buffer.alloc(0) }
}

function encoderArgs(options: ClipOptions): string[] {
  const { width, height, fps, durationSeconds, sampleRate } = options
  const picture = `testsrc2=size=${width}x${height}:rate=${fps}:duration=${durationSeconds}`
  const tone = `sine=frequency=440:beep_factor=4:sample_rate=${sampleRate}:duration=${durationSeconds}`
  const args = ['-nostdin', '-v', 'error', '-f', 'lavfi', '-i', picture]
  if (options.audio !== 'none') args.push('-f', 'lavfi', '-i', tone)
  args.push('-map', '0:v', ...videoArgs(options), 'video')
  if (options.audio !== 'none') args.push('-map', '1:a', ...AUDIO_ARGS[options.audio], 'audio')
  return args
}

const AUDIO_ARGS: Record<AudioClip['codec'], string[]> = {
  aac: ['-c:a', 'aac', '-b:a', '32k', '-f', 'adts'],
  pcmu: ['-c:a', 'pcm_mulaw', '-f', 'mulaw'],
  pcma: ['-c:a', 'pcm_alaw', '-f', 'alaw'],
}

function videoArgs({ video, fps, gopSeconds, videoKbps }: ClipOptions): string[] {
  const rate = `${videoKbps}k`
  const common = `-pix_fmt yuv420p -preset ultrafast -b:v ${rate} -maxrate ${rate} -bufsize ${rate}`
  const gop = Math.round(gopSeconds * fps)
  // Closed GOPs and no B-frames: the clip can be repeated, and joined at any keyframe.
  const encoder = `aud=1:repeat-headers=1:keyint=${gop}:min-keyint=${gop}:scenecut=0:open-gop=0:bframes=0`
  const codec =
    video === 'h264'
      ? ['-c:v', 'libx264', '-profile:v', 'baseline', '-x264-params', encoder, '-f', 'h264']
      : ['-c:v', 'libx265', '-x265-params', `${encoder}:info=0:log-level=error`, '-f', 'hevc']
  return [...common.split(' '), ...codec]
}
