package httplimit

import "strings"

// item is a member of a List of structured fields (RFC 9651) as the RateLimit fields have them: a String or Token with
// parameters. Values are kept as text, Strings unquoted.
type item struct {
	name       string
	parameters map[string]string
}

// parseList returns the items of a field; ok is false, and there are none, if it is malformed or has members of other
// kinds.
func parseList(field string) (items []item, ok bool) {
	p := parser{field}
	p.skip(" ")
	for p.rest != "" {
		i, ok := p.item()
		if !ok {
			return nil, false
		}
		items = append(items, i)
		p.skip(" \t")
		if p.rest == "" {
			break
		}
		if !p.eat(',') {
			return nil, false
		}
		p.skip(" \t,") // fields that are empty, or were joined, leave commas
	}
	return items, true
}

type parser struct{ rest string }

func (p *parser) skip(these string) { p.rest = strings.TrimLeft(p.rest, these) }

func (p *parser) eat(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *parser) item() (i item, ok bool) {
	i.parameters = map[string]string{}
	if i.name, ok = p.bare(); !ok {
		return item{}, false
	}
	for p.eat(';') {
		p.skip(" ")
		key := p.run(isKey)
		if key == "" {
			return item{}, false
		}
		value := "?1" // a parameter without a value is true
		if p.eat('=') {
			if value, ok = p.bare(); !ok {
				return item{}, false
			}
		}
		i.parameters[key] = value
	}
	return i, true
}

// bare reads a String, a Byte Sequence (as text, undecoded), or a Token, number or Boolean, which all end where anything
// else begins.
func (p *parser) bare() (value string, ok bool) {
	if p.eat('"') {
		return p.quoted()
	}
	if p.eat(':') {
		value = p.run(isBase64)
		return value, p.eat(':')
	}
	value = p.run(isBare)
	return value, value != ""
}

func (p *parser) quoted() (value string, ok bool) {
	var b strings.Builder
	for p.rest != "" {
		c := p.rest[0]
		p.rest = p.rest[1:]
		if c == '"' {
			return b.String(), true
		}
		if c == '\\' {
			if p.rest == "" || (p.rest[0] != '"' && p.rest[0] != '\\') {
				return "", false
			}
			c = p.rest[0]
			p.rest = p.rest[1:]
		}
		if c < 0x20 || c > 0x7e {
			return "", false
		}
		b.WriteByte(c)
	}
	return "", false
}

func (p *parser) run(belongs func(c byte) bool) string {
	n := 0
	for n < len(p.rest) && belongs(p.rest[n]) {
		n++
	}
	value := p.rest[:n]
	p.rest = p.rest[n:]
	return value
}

func isKey(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("_-.*", c) >= 0
}

func isBare(c byte) bool { return c > 0x20 && c < 0x7f && strings.IndexByte(`",;()=\`, c) < 0 }

func isBase64(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("+/=", c) >= 0
}
