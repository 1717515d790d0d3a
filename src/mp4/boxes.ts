import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'

/** A top-level box of an MP4 file. */
export interface Mp4Box {
  type: string
  /** Its header included. */
  bytes: number
  /** Whether the file ends before the box does. */
  cutOff: boolean
}

/** More than any file of ours has; random bytes may look like endless small boxes. */
const mostBoxes = 100_000
const headerBytes = 16

/** The top-level boxes of a file; whatever doesn't look like a box ends the list. */
export async function readBoxes(path: string, most = mostBoxes): Promise<Mp4Box[]> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const header = Buffer.alloc(headerBytes)
    const boxes: Mp4Box[] = []
    for (let at = 0; at < size && boxes.length < most;) {
      const { bytesRead } = await file.read(header, 0, headerBytes, at)
      const bytes = bytesRead < 8 ? 0 : boxBytes(header, bytesRead, size - at)
      if (bytes < 8) return [...boxes, { type: '????', bytes: size - at, cutOff: true }]
      boxes.push({ type: header.toString('latin1', 4, 8), bytes, cutOff: at + bytes > size })
      at += bytes
    }
    return boxes
  } finally {
    await file.close()
  }
}

/** Whether a player can start at once: the index before the content, and no fragments. */
export async function isFaststart(path: string): Promise<boolean> {
  // In a finalized file the index is among the first few boxes.
  const types = (await readBoxes(path, 8)).map(({ type }) => type)
  const index = types.indexOf('moov')
  const content = types.indexOf('mdat')
  return index >= 0 && content > index && !types.includes('moof')
}

/** What files of ours are made of; and of others' what FFmpeg leaves untouched. */
const knownTypes = new Set(
  'ftyp styp moov moof mdat mfra free skip wide sidx uuid meta udta emsg prft'.split(' '),
)

/**
 * Whether a player's reader gets through all of a file. It stops at damage in the middle, and
 * what lies behind would be lost in a remux. An end that is cut off is what a crash leaves.
 */
export async function isDamaged(path: string): Promise<boolean> {
  const boxes = await readBoxes(path)
  const last = boxes.at(-1)
  const whole = last?.cutOff ? boxes.slice(0, -1) : boxes
  if (!whole.every(({ type }) => knownTypes.has(type))) return true
  if (!last?.cutOff) return false
  const end = whole.reduce((sum, { bytes }) => sum + bytes, 0)
  return isFollowed(last.type, createReadStream(path, { start: end + 8 }))
}

/** Whether more boxes seem to follow in what should be the rest of one that was cut off. */
export async function isFollowed(type: string, rest: AsyncIterable<Buffer>): Promise<boolean> {
  // An index is short and holds no content; in content the letters of a box may come by chance.
  const next = type === 'mdat' ? /moof|mfra/ : /moof|mdat|mfra/
  let end = ''
  for await (const chunk of rest) {
    const text = end + chunk.toString('latin1')
    if (next.test(text)) return true
    end = text.slice(-3)
  }
  return false
}

/** Whether a file is no more than what FFmpeg writes before the first packet. */
export async function isHeaderOnly(path: string): Promise<boolean> {
  const boxes = await readBoxes(path)
  const empty = new Set(['ftyp', 'moov', 'free', 'mfra', 'mdat'])
  return (
    boxes[0]?.type === 'ftyp' &&
    boxes.every(({ type, bytes, cutOff }) => {
      return empty.has(type) && !cutOff && (type !== 'mdat' || bytes <= headerBytes)
    })
  )
}

function boxBytes(header: Buffer, bytesRead: number, rest: number): number {
  const bytes = header.readUInt32BE(0)
  if (bytes === 0) return rest
  if (bytes !== 1) return bytes
  return bytesRead < headerBytes ? 0 : Number(header.readBigUInt64BE(8))
}

/** A file that holds something of which it isn't known for certain what it means. */
export class UnfamiliarMp4 extends Error {}

/** Of what must hold in an MP4 file for it to be understood; throws UnfamiliarMp4. */
export function need(holds: boolean): asserts holds {
  if (!holds) throw new UnfamiliarMp4()
}

/** What must be there, in a file that is understood. */
export function known<T>(value: T | undefined): T {
  need(value !== undefined)
  return value
}

/** A box in memory. */
export interface BoxContent {
  type: string
  /** With its header. */
  whole: Buffer
  body: Buffer
}

/** The first eight bytes of a box, of the 32-bit sizes that FFmpeg writes into fragmented files. */
export function boxHeader(header: Buffer): { type: string; bytes: number } {
  need(header.length >= 8)
  const bytes = header.readUInt32BE(0)
  need(bytes >= 8)
  return { type: header.toString('latin1', 4, 8), bytes }
}

/** The boxes that fill `content`, if their types, with blanks between, are as they should be. */
export function boxesIn(content: Buffer, types: RegExp): BoxContent[] {
  const boxes: BoxContent[] = []
  for (let at = 0; at < content.length;) {
    const { type, bytes } = boxHeader(content.subarray(at, at + 8))
    need(at + bytes <= content.length)
    const whole = content.subarray(at, at + bytes)
    boxes.push({ type, whole, body: whole.subarray(8) })
    at += bytes
  }
  need(types.test(boxes.map(({ type }) => type).join(' ')))
  return boxes
}

export function makeBox(type: string, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const header = Buffer.alloc(8)
  header.writeUInt32BE(body.length + 8, 0)
  header.write(type, 4, 'latin1')
  return Buffer.concat([header, body])
}

/** Numbers of four bytes each, as MP4's tables are made of. */
export function words(...numbers: number[]): Buffer {
  const content = Buffer.alloc(numbers.length * 4)
  numbers.forEach((number, index) => content.writeUInt32BE(number, index * 4))
  return content
}

/** A copy of a box with other numbers at some places, counted from its beginning. */
export function patched(box: Buffer, numbers: Record<number, number>): Buffer {
  const copy = Buffer.from(box)
  for (const [at, number] of Object.entries(numbers)) copy.writeUInt32BE(number, Number(at))
  return copy
}
