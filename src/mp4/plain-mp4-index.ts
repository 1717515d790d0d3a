import { open, type FileHandle } from 'node:fs/promises'
import { boxesIn, known, need, readBoxes, UnfamiliarMp4, type BoxContent } from './boxes.ts'

/** What a plain MP4 holds of each track. */
export interface TrackContent {
  packets: number
  bytes: number
}

/**
 * Reads the index of a plain MP4 anew, as a player does, and sums up its tracks. `undefined` where
 * it isn't in front, contradicts itself, or names a place outside of the content.
 */
export async function readPlainMp4(path: string): Promise<TrackContent[] | undefined> {
  try {
    const boxes = await readBoxes(path)
    need(boxes.map(({ type }) => type).join(' ') === 'ftyp moov mdat')
    need(boxes.every(({ cutOff }) => !cutOff))
    const [ftyp, moov, mdat] = boxes.map(({ bytes }) => bytes)
    const file = await open(path, 'r')
    try {
      const index = await readAll(file, known(ftyp), known(moov))
      const from = known(ftyp) + known(moov)
      return readTracks(index, { from, end: from + known(mdat) })
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof UnfamiliarMp4) return undefined
    throw error
  }
}

interface Range {
  from: number
  end: number
}

async function readAll(file: FileHandle, at: number, bytes: number): Promise<Buffer> {
  const content = Buffer.alloc(bytes)
  const { bytesRead } = await file.read(content, 0, bytes, at)
  need(bytesRead === bytes)
  return content
}

function readTracks(moov: Buffer, mdat: Range): TrackContent[] {
  const traks = boxesIn(moov.subarray(8), /^mvhd trak( trak)?( udta)?$/)
  const content = traks
    .filter(({ type }) => type === 'trak')
    .map(({ body }) => {
      const [mdia] = boxesIn(body, /^tkhd( edts)? mdia$/).slice(-1)
      const [, , minf] = boxesIn(known(mdia).body, /^mdhd hdlr minf$/)
      const [, , stbl] = boxesIn(known(minf).body, /^[vs]mhd dinf stbl$/)
      const types = /^stsd stts( ctts)?( stss)? stsc stsz (stco|co64)$/
      return readTrack(boxesIn(known(stbl).body, types), mdat)
    })
  const header = 8
  const inAll = content.reduce((sum, { bytes }) => sum + bytes, 0)
  need(inAll + header === mdat.end - mdat.from || inAll + 2 * header === mdat.end - mdat.from)
  return content
}

function readTrack(tables: BoxContent[], mdat: Range): TrackContent {
  const table = (type: string): Buffer | undefined => tables.find((box) => box.type === type)?.body
  const sizes = known(table('stsz'))
  const packets = sizes.readUInt32BE(8)
  need(sizes.length === 12 + packets * 4)
  for (const runs of [known(table('stts')), table('ctts')])
    if (runs) need(countRuns(runs) === packets)
  const places = table('co64') ?? known(table('stco'))
  const isLarge = table('co64') !== undefined
  const chunks = places.readUInt32BE(4)
  const chunkLength = samplesPerChunk(known(table('stsc')))
  let [sample, bytes, free] = [0, 0, mdat.from + 8]
  for (let chunk = 0; chunk < chunks; chunk += 1) {
    let at = isLarge
      ? Number(places.readBigUInt64BE(8 + chunk * 8))
      : places.readUInt32BE(8 + chunk * 4)
    need(at >= free)
    const end = sample + chunkLength(chunk + 1)
    need(end <= packets)
    for (; sample < end; sample += 1) {
      const size = sizes.readUInt32BE(12 + sample * 4)
      at += size
      bytes += size
    }
    need(at <= mdat.end)
    free = at
  }
  need(sample === packets)
  return { packets, bytes }
}

function countRuns(runs: Buffer): number {
  let sum = 0
  for (let at = 8; at < runs.length; at += 8) sum += runs.readUInt32BE(at)
  return sum
}

/** How many samples a chunk has; to be asked of one after the other, from the first, which is 1. */
function samplesPerChunk(stsc: Buffer): (chunk: number) => number {
  let at = 8
  return (chunk) => {
    if (at + 12 < stsc.length && stsc.readUInt32BE(at + 12) === chunk) at += 12
    return stsc.readUInt32BE(at + 4)
  }
}
