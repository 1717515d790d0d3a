import { localTime } from './local-time.ts'

/** `12.3 MB` */
export function bytesText(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1)
  const value = bytes / 1000 ** power
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`
}

/** `45 s`, `12 min`, `2 h 5 min`, `3 d 4 h`; the clock may have stepped back: never less than 0. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 120) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  return hours % 24 === 0 ? `${hours / 24} d` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** `15:30:45` today, `2025-01-25 15:30:45` on any other day. */
export function momentText(iso: string, nowMs: number): string {
  const { date, time } = localTime(Date.parse(iso))
  return date === localTime(nowMs).date ? time : `${date} ${time}`
}

/** `15:30:45 (12 min)` */
export function sinceText(iso: string, nowMs: number): string {
  return `${momentText(iso, nowMs)} (${durationText(nowMs - Date.parse(iso))})`
}

/** `1 file`, `3 files` */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

/** A text of at most so many characters. */
export function cut(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text
}

/** Breaks a text into lines of at most `width`, the later ones indented; where it has no space, anywhere. */
export function wrap(text: string, width: number, indent: number): string[] {
  const margin = ' '.repeat(Math.min(indent, width / 2))
  const lines: string[] = []
  let rest = text
  while (rest.length > width) {
    const space = rest.lastIndexOf(' ', width)
    const isWord = space <= margin.length
    lines.push(rest.slice(0, isWord ? width : space))
    rest = margin + rest.slice(isWord ? width : space + 1)
  }
  return [...lines, rest]
}
