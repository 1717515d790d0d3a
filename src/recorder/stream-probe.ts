import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { startChild, type ChildEnd } from '../daemon/child.ts'
import { withoutCredentials } from './camera-url.ts'
import type { Camera } from './config.ts'
import { diagnose, type Diagnosis } from './ffmpeg-diagnosis.ts'
import { cameraInput } from './ffmpeg-args.ts'

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
  stallAfterMs: number,
  signal: AbortSignal,
): Promise<StreamInfo | Diagnosis> {
  const input = cameraInput(camera, stallAfterMs)
  const command = ['ffprobe', '-v', 'error', '-of', 'json', '-show_streams', ...input.args]
  const child = startChild(command, { stdin: input.stdin })
  const kill = (): void => child.kill('SIGKILL')
  const atMost = AbortSignal.any([signal, AbortSignal.timeout(probeAtMostMs)])
  atMost.addEventListener('abort', kill, { once: true })
  let output = ''
  child.outputs[0]?.setEncoding('utf8').on('data', (chunk: string) => void (output += chunk))
  const end = await child.ended
  atMost.removeEventListener('abort', kill)
  return readProbe(output) ?? diagnose(camera, withReason(end, atMost))
}

function withReason(end: ChildEnd, atMost: AbortSignal): ChildEnd {
  return atMost.aborted ? { ...end, lines: [...end.lines, 'timed out'] } : end
}

/** What ffprobe's JSON says of the stream; undefined where there is no video in it. */
function readProbe(json: string): StreamInfo | undefined {
  const result = probed.safeParse(parseJson(json))
  const streams = result.data?.streams ?? []
  const video = streams.find(({ codec_type }) => codec_type === 'video')
  if (!video?.codec_name) return undefined
  return {
    video: video.codec_name,
    width: video.width,
    height: video.height,
    fps: frameRate(video.avg_frame_rate) ?? frameRate(video.r_frame_rate),
    audio: streams.find(({ codec_type }) => codec_type === 'audio')?.codec_name,
  }
}

/**
 * The codecs that FFmpeg itself names when it opens its input, from its stderr; undefined for any
 * other line. `Stream #0:1: Audio: pcm_mulaw, 8000 Hz, 1 channels, s16, 64 kb/s`
 */
export function namedCodec(line: string): { type: 'video' | 'audio'; codec: string } | undefined {
  const [, type, codec] = /Stream #0:\d+.*?: (Video|Audio): (\w+)/.exec(line) ?? []
  if (!type || !codec) return undefined
  return { type: type === 'Video' ? 'video' : 'audio', codec }
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
