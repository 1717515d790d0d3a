import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { runChild } from '../daemon/child.ts'
import { withoutCredentials } from './camera-url.ts'
import type { Camera } from './config.ts'
import { diagnose, noVideo, type Diagnosis } from './ffmpeg-diagnosis.ts'
import { cameraInput, type HowToConnect } from './ffmpeg-args.ts'

/** What a camera sends, as far as it decides how it is recorded. */
export interface StreamInfo {
  /** FFmpeg's name of the codec: `h264`, `hevc`. */
  video: string
  width?: number | undefined
  height?: number | undefined
  fps?: number | undefined
  /** `aac`, `pcm_mulaw`; undefined where the camera sends no sound. */
  audio?: string | undefined
}

const streamInfo = z.object({
  video: z.string(),
  width: z.number().optional(),
  height: z.number().optional(),
  fps: z.number().optional(),
  audio: z.string().optional(),
})

const remembered = z.object({ source: z.string(), stream: streamInfo })

const probed = z.object({
  streams: z.array(
    z.object({
      codec_type: z.string().optional(),
      codec_name: z.string().optional(),
      width: z.number().optional(),
      height: z.number().optional(),
      avg_frame_rate: z.string().optional(),
      r_frame_rate: z.string().optional(),
    }),
  ),
})

/** Longer than FFmpeg's own time-outs, for a camera that answers and then falls silent. */
const probeAtMostMs = 30_000

/** Asks the camera what it sends. */
export async function probeStream(
  camera: Camera,
  how: HowToConnect,
  signal: AbortSignal,
): Promise<StreamInfo | Diagnosis> {
  const input = cameraInput(camera, how)
  const command = ['ffprobe', '-v', 'error', '-of', 'json', '-show_streams', ...input.args]
  const end = await runChild(command, { stdin: input.stdin, atMostMs: probeAtMostMs }, signal)
  const lines = end.timedOut ? ['timed out'] : end.lines
  const found = readProbe(end.stdout)
  if (found) return found
  return end.code === 0 ? noVideo(camera) : diagnose(camera, { ...end, lines })
}

/** What ffprobe's JSON says of the stream; undefined where there is no video in it, or only the promise. */
function readProbe(json: string): StreamInfo | undefined {
  const result = probed.safeParse(parseJson(json))
  const streams = result.data?.streams ?? []
  const video = streams.find(({ codec_type }) => codec_type === 'video')
  if (!video?.codec_name || video.width === 0) return undefined
  return {
    video: video.codec_name,
    width: video.width,
    height: video.height,
    fps: frameRate(video.avg_frame_rate) ?? frameRate(video.r_frame_rate),
    audio: streams.find(({ codec_type }) => codec_type === 'audio')?.codec_name,
  }
}

/**
 * Compares what FFmpeg itself says of its input, on stderr, with what it was started for:
 * `Stream #0:1: Audio: pcm_mulaw, 8000 Hz, mono, s16, 64 kb/s`. Only the first stream of each
 * type is recorded, so only that one counts.
 */
export class StreamCheck {
  /** What FFmpeg was started for, of the size that it has found. */
  found: StreamInfo
  readonly #expected: StreamInfo
  /** The types whose first stream is still to be named; empty outside of the input's list. */
  #open = new Set<string>()

  constructor(expected: StreamInfo) {
    this.#expected = expected
    this.found = expected
  }

  /** The codec that a line of stderr names, if it is another one. */
  differs(line: string): string | undefined {
    if (line.includes('Input #')) this.#open = new Set(['Video', 'Audio'])
    if (/Stream mapping:|Output #/.test(line)) this.#open.clear()
    const [, type = '', codec] = /Stream #0:\d+.*?: (Video|Audio): (\w+)/.exec(line) ?? []
    if (!this.#open.delete(type)) return undefined
    const [, width, height] = /, (\d+)x(\d+)/.exec(line) ?? []
    if (width && height)
      this.found = { ...this.found, width: Number(width), height: Number(height) }
    const expected = type === 'Video' ? this.#expected.video : this.#expected.audio
    return codec === expected ? undefined : codec
  }
}

/** Remembers what each camera sends, so that a restart needs no probe. */
export class StreamMemory {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  /** What was remembered of this camera at this very URL; undefined if nothing was. */
  async recall(camera: Camera): Promise<StreamInfo | undefined> {
    const text = await readFile(this.#file(camera), 'utf8').catch(() => '')
    const { data } = remembered.safeParse(parseJson(text))
    return data?.source === sourceOf(camera) ? data.stream : undefined
  }

  /** Costs a probe at the next start where it fails, and nothing else. */
  async remember(camera: Camera, stream: StreamInfo): Promise<void> {
    const file = this.#file(camera)
    await mkdir(this.#folder, { recursive: true })
    await writeFile(`${file}.new`, JSON.stringify({ source: sourceOf(camera), stream }))
    await rename(`${file}.new`, file)
  }

  async forget(camera: Camera): Promise<void> {
    await rm(this.#file(camera), { force: true })
  }

  #file(camera: Camera): string {
    return join(this.#folder, `${camera.name}.json`)
  }
}

function sourceOf(camera: Camera): string {
  return `${withoutCredentials(camera.url)} ${camera.transport}`
}

function frameRate(fraction: string | undefined): number | undefined {
  const [frames, seconds] = (fraction ?? '').split('/').map(Number)
  if (!frames || !seconds) return undefined
  return Math.round((frames / seconds) * 100) / 100
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
