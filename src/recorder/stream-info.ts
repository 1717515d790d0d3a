import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { withoutCredentials } from './camera-url.ts'
import type { Camera } from './config.ts'

/** What a camera sends, as FFmpeg names it. */
export interface StreamInfo {
  /** `h264`, `hevc` */
  video: string
  width?: number | undefined
  height?: number | undefined
  /** Units of the picture's time stamps. */
  ticksPerSecond?: number | undefined
  /** `aac`, `pcm_mulaw`; `unknown` where FFmpeg doesn't know it; undefined where there is no sound. */
  audio?: string | undefined
}

const streamInfo = z.object({
  video: z.string(),
  width: z.number().optional(),
  height: z.number().optional(),
  ticksPerSecond: z.number().optional(),
  audio: z.string().optional(),
})

const remembered = z.object({ source: z.string(), stream: streamInfo })

/**
 * Reads what FFmpeg says of its input on stderr, and of its first picture and sound:
 *
 *     Input #0, concat, from 'pipe:0':
 *       Stream #0:0: Video: h264 (Main), yuv420p(progressive), 640x360, 25 fps, 25 tbr, 90k tbn
 *       Stream #0:1: Audio: pcm_mulaw, 8000 Hz, mono, s16, 64 kb/s
 */
export class StreamReader {
  #isInput = false
  #video: Omit<StreamInfo, 'audio'> | undefined
  #audio: string | undefined

  /** Undefined until the picture has been named. */
  get stream(): StreamInfo | undefined {
    return this.#video && { ...this.#video, audio: this.#audio }
  }

  /** Reads a line; answers whether the list of streams ends with it. */
  read(line: string): boolean {
    if (/Could not find codec parameters for stream \d+ \(Audio: none/.test(line))
      this.#audio ??= 'unknown'
    if (line.includes('Input #')) this.#isInput = true
    if (!this.#isInput) return false
    if (/Stream mapping:|Output #/.test(line)) {
      this.#isInput = false
      return true
    }
    const [, type, codec = ''] = /Stream #0:\d+.*?: (Video|Audio): (\w+)/.exec(line) ?? []
    if (type === 'Video') this.#video ??= { video: codec, ...pictureOf(line) }
    if (type === 'Audio') this.#audio ??= codec === 'none' ? 'unknown' : codec
    return false
  }
}

function pictureOf(line: string): Omit<StreamInfo, 'video' | 'audio'> {
  const [, width, height] = /, (\d+)x(\d+)/.exec(line) ?? []
  const [, ticks, thousands] = /, ([\d.]+)(k?) tbn/.exec(line) ?? []
  return {
    ...(width && height ? { width: Number(width), height: Number(height) } : {}),
    ...(ticks ? { ticksPerSecond: Number(ticks) * (thousands ? 1000 : 1) } : {}),
  }
}

/** Remembers what each camera sends, so that FFmpeg is started for it at once. */
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

  /** Costs a try more at the next start where it fails, and nothing else. */
  async remember(camera: Camera, stream: StreamInfo): Promise<void> {
    const file = this.#file(camera)
    await mkdir(this.#folder, { recursive: true })
    await writeFile(`${file}.new`, JSON.stringify({ source: sourceOf(camera), stream }))
    await rename(`${file}.new`, file)
  }

  #file(camera: Camera): string {
    return join(this.#folder, `${camera.name}.json`)
  }
}

function sourceOf(camera: Camera): string {
  return `${withoutCredentials(camera.url)} ${camera.transport}`
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
