import { boxesIn, known, makeBox, need, patched, words, type BoxContent } from './boxes.ts'
import {
  declareComplete,
  makeConfig,
  needAac,
  readH264Config,
  readHevcConfig,
} from './decoder-config.ts'
import type { ParameterSet, PictureCodec } from './parameter-sets.ts'
import type { PictureFormat } from './picture-format.ts'

/** What a track is, and what of its header is to be copied. */
export interface TrackHeader {
  id: number
  type: 'video' | 'audio'
  /** FFmpeg's name: `h264`, `hevc`, `aac`; of sound that can't be copied, `other`. */
  codec: string
  ticksPerSecond: number
  tkhd: Buffer
  /** The sample entry, as MP4 has it: a whole box. */
  entry: Buffer
}

interface Format {
  codec: string
  /** Before its own boxes, which come first: how long it is, and what they are. */
  bytes: number
  boxes: RegExp
  /** Throws UnfamiliarMp4 of one that isn't as FFmpeg writes it. */
  readConfig: (config: Buffer) => unknown
  /** The name that it gets. */
  tag: string
}

const hevc: Format = {
  codec: 'hevc',
  tag: 'hvc1', // Apple's players want it; the parameter sets are in its config either way.
  bytes: 78,
  readConfig: readHevcConfig,
  boxes: /^hvcC( (fiel|colr|pasp|btrt))*$/,
}
const formats: Record<string, Format> = {
  avc1: {
    codec: 'h264',
    tag: 'avc1',
    bytes: 78,
    readConfig: readH264Config,
    boxes: /^avcC( (fiel|colr|pasp|btrt))*$/,
  },
  hvc1: hevc,
  hev1: hevc,
  mp4a: { codec: 'aac', tag: 'mp4a', bytes: 28, readConfig: needAac, boxes: /^esds( btrt)?$/ },
}

/** What FFmpeg writes of the place of the content: in this file. */
const inThisFile = Buffer.concat([words(28), Buffer.from('dref'), words(0, 1, 12)])
const itself = Buffer.concat([inThisFile, Buffer.from('url '), words(1)])
/** Of a track that shall play, as a part of the presentation. */
const enabled = 3

/** Reads a `trak` of MP4 or MOV that has no samples of its own; throws UnfamiliarMp4 where it isn't such. */
export function readTrackHeader({ body }: BoxContent): TrackHeader {
  const [tkhd, mdia] = boxesIn(body, /^tkhd mdia$/)
  need(tkhd?.body.length === 84 && tkhd.body.readUInt32BE(0) === enabled)
  const [mdhd, hdlr, minf] = boxesIn(known(mdia).body, /^mdhd hdlr minf$/)
  need(mdhd?.body.length === 24 && mdhd.body.readUInt32BE(0) === 0)
  const handler = known(hdlr).body.toString('latin1', 8, 12)
  const isVideo = handler === 'vide'
  need(isVideo || handler === 'soun')
  // MOV says once more where the content is.
  const boxes = boxesIn(
    known(minf).body,
    isVideo ? /^vmhd( hdlr)? dinf stbl$/ : /^smhd( hdlr)? dinf stbl$/,
  )
  const [dinf, stbl] = boxes.slice(-2)
  need(known(dinf).body.equals(itself))
  const [stsd, ...tables] = boxesIn(known(stbl).body, /^stsd stts stsc stsz stco$/)
  need(tables.every(isEmptyTable))
  const entry = readSampleEntry(known(stsd).body, isVideo)
  const ticksPerSecond = mdhd.body.readUInt32BE(12)
  need(ticksPerSecond > 0)
  const type = isVideo ? 'video' : 'audio'
  return { id: tkhd.body.readUInt32BE(12), type, ticksPerSecond, tkhd: tkhd.whole, ...entry }
}

/** The units in the decoder configuration of a picture. */
export function configUnits({ codec, entry }: TrackHeader): Buffer[] {
  const [config] = boxesIn(entry.subarray(8 + hevc.bytes), /^(avcC|hvcC)/)
  return codec === 'h264' ? readH264Config(known(config).body) : readHevcConfig(known(config).body)
}

/** The header of a track whose picture has other parameter sets, of which the first sequence is in use. */
export function withParameterSets(
  { tkhd, entry, ...header }: TrackHeader,
  codec: PictureCodec,
  { sets, format }: { sets: ParameterSet[]; format: PictureFormat },
): TrackHeader {
  const { width, height, pixel } = format
  const [across, down] = pixel ?? [1, 1]
  const numbers = Buffer.from(entry.subarray(8, 8 + hevc.bytes))
  numbers.writeUInt16BE(width, 24)
  numbers.writeUInt16BE(height, 26)
  const config = makeBox(codec === 'h264' ? 'avcC' : 'hvcC', makeConfig(codec, sets))
  // Colours are told by the parameter sets alone, in which they may have changed as well.
  const pasp = pixel ? [makeBox('pasp', words(across, down))] : []
  const shownWidth = Math.min(0xffff, (width * across) / down)
  const shown = { 84: Math.round(shownWidth * 0x10000), 88: height * 0x10000 }
  const tag = entry.toString('latin1', 4, 8)
  return { ...header, tkhd: patched(tkhd, shown), entry: makeBox(tag, numbers, config, ...pasp) }
}

/** MOV's table of the durations of sound that isn't packed has an entry for no sample. */
function isEmptyTable({ type, body }: BoxContent): boolean {
  if (type === 'stts' && body.equals(words(0, 1, 0, 1))) return true
  return body.length === (type === 'stsz' ? 12 : 8) && body.every((byte) => byte === 0)
}

function readSampleEntry(stsd: Buffer, isVideo: boolean): { codec: string; entry: Buffer } {
  need(stsd.subarray(0, 8).equals(words(0, 1)))
  const [entry, ...others] = boxesIn(stsd.subarray(8), /^[\x20-\x7e\0]{4}$/)
  need(others.length === 0)
  const { type: tag, body, whole } = known(entry)
  const format = formats[tag]
  // Sound of another codec, or as MOV has it, is for FFmpeg to encode.
  if (!format || (tag === 'mp4a' && !isPlainSound(body))) {
    need(!isVideo)
    return { codec: 'other', entry: whole }
  }
  need((tag !== 'mp4a') === isVideo && body.length > format.bytes)
  // Six bytes without a meaning, then which data reference.
  need(body.subarray(0, 8).equals(words(0, 1)))
  const [config] = boxesIn(body.subarray(format.bytes), format.boxes)
  format.readConfig(known(config).body)
  if (!isVideo) return { codec: format.codec, entry: whole }
  // Width and height; then, at the end, 24 bits a pixel, of no palette.
  need(body.readUInt16BE(24) > 0 && body.readUInt16BE(26) > 0 && body.readUInt32BE(74) === 0x18ffff)
  const copy = Buffer.from(body)
  // What MOV says of the program that made it, and of quality, is without a meaning in MP4.
  copy.fill(0, 8, 24)
  // FFmpeg leaves the parameter sets out of the samples of hvc1, so that it is recorded as hev1.
  if (format === hevc) declareComplete(copy.subarray(format.bytes + 8))
  return { codec: format.codec, entry: makeBox(format.tag, copy) }
}

/** A version and revision of 0, and nothing between the numbers and the config. */
function isPlainSound(body: Buffer): boolean {
  return (
    body.length > 36 && body.readUInt32BE(8) === 0 && body.toString('latin1', 32, 36) === 'esds'
  )
}
