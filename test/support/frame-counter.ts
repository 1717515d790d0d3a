import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { STAMP_DIGITS, STAMP_UUID } from '../../demo/frame-stamp.ts'

/** The numbers of an MP4's video frames, in file order, as the emulated camera stamped them. */
export async function frameCounters(file: string): Promise<number[]> {
  // Bare packets will do: a stamp reads the same in MP4's form as in Annex B's. Without the edit
  // list, so that frames before a player's first count too.
  const input = ['-ignore_editlist', '1', '-i', file, '-map', '0:v:0']
  const output = ['-c', 'copy', '-f', 'data', '-']
  const ffmpeg = spawn('ffmpeg', ['-nostdin', '-v', 'error', ...input, ...output], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(ffmpeg, 'close')
  let complaints = ''
  ffmpeg.stderr.on('data', (text: Buffer) => (complaints += text.toString()))

  const counters: number[] = []
  let unread: Buffer = Buffer.alloc(0)
  for await (const chunk of ffmpeg.stdout) {
    const found = findStamps(Buffer.concat([unread, chunk as Buffer]))
    counters.push(...found.counters)
    unread = found.rest
  }
  const [code] = (await ended) as [number | null]
  if (code !== 0) throw new Error(`ffmpeg could not read ${file}: ${complaints}`)
  return counters
}

/** Where a row of counters does not rise by one: `17 → 19`. Empty if no frame is missing or twice. */
export function brokenPlaces(counters: number[]): string[] {
  return counters.flatMap((counter, index) => {
    const before = counters[index - 1]
    return before === undefined || counter === before + 1 ? [] : [`${before} → ${counter}`]
  })
}

const STAMP_BYTES = STAMP_UUID.length + STAMP_DIGITS

/** The counters in a piece of a video stream, and the rest, which may hold the start of another. */
export function findStamps(data: Buffer): { counters: number[]; rest: Buffer } {
  const counters: number[] = []
  let end = 0
  for (;;) {
    const digits = data.indexOf(STAMP_UUID, end) + STAMP_UUID.length
    if (digits < STAMP_UUID.length || digits + STAMP_DIGITS > data.length) break
    end = digits + STAMP_DIGITS
    counters.push(Number.parseInt(data.toString('ascii', digits, end), 16))
  }
  return { counters, rest: data.subarray(Math.max(end, data.length - STAMP_BYTES + 1)) }
}
