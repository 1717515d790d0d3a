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
  return holdsBehind(path, end + 8, 'moof')
}

async function holdsBehind(path: string, from: number, letters: string): Promise<boolean> {
  let end = ''
  for await (const chunk of createReadStream(path, { start: from, encoding: 'latin1' })) {
    const text = end + String(chunk)
    if (text.includes(letters)) return true
    end = text.slice(-letters.length)
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
