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

/** Whether a file is no more than what FFmpeg writes before the first packet. */
export async function isHeaderOnly(path: string): Promise<boolean> {
  const boxes = await readBoxes(path, 8)
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
