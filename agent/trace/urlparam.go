package trace

// secretParams are the URL parameters whose values are hidden, in lower case; the text may write them in any case.
var secretParams = map[string]bool{
	"private_token":        true,
	"authenticity_token":   true,
	"rss_token":            true,
	"x-amz-signature":      true,
	"x-amz-credential":     true,
	"x-amz-security-token": true,
}

// maxParam is the length of the longest of secretParams.
const maxParam = len("x-amz-security-token")

// urlMask hides the values of secret URL parameters: ?private_token=q&b=1 becomes ?private_token=[MASKED]&b=1. It holds nothing back.
type urlMask struct {
	mode urlMode
	name [maxParam]byte
	n    int // length of name
}

type urlMode int

const (
	urlText   urlMode = iota
	urlName           // after ? or &
	urlValue          // after the = of a secret parameter
	urlHidden         // inside its value
)

func (u *urlMask) write(dst, p []byte) []byte {
	for i := 0; i < len(p); {
		from := i
		switch u.mode {
		case urlText:
			for i < len(p) && p[i] != '?' && p[i] != '&' {
				i++
			}
			if i < len(p) {
				i++
				u.mode, u.n = urlName, 0
			}
			dst = append(dst, p[from:i]...)
		case urlName:
			for i < len(p) && u.mode == urlName {
				u.nameByte(p[i])
				i++
			}
			dst = append(dst, p[from:i]...)
		case urlValue:
			u.mode = urlText
			if !endsValue[p[i]] {
				dst = append(dst, masked...)
				u.mode = urlHidden
			}
		case urlHidden:
			for i < len(p) && !endsValue[p[i]] {
				i++
			}
			if i < len(p) {
				u.mode = urlText
			}
		}
	}
	return dst
}

// nameByte takes one byte of what may be a parameter's name.
func (u *urlMask) nameByte(b byte) {
	switch {
	case b == '?' || b == '&':
		u.n = 0
	case b == '=':
		u.mode = urlText
		if secretParams[string(u.name[:u.n])] {
			u.mode = urlValue
		}
	case u.n < maxParam && isToken[b]:
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		u.name[u.n] = b
		u.n++
	default:
		u.mode = urlText
	}
}

// endsValue has the bytes that end a parameter's value: those that RFC 3986 allows in no query, the next parameter, the fragment, and
// the single quote, which shells and messages put around URLs.
var endsValue = func() (set [256]bool) {
	for b := range set {
		set[b] = b <= ' ' || b == 0x7f
	}
	for _, b := range []byte("&#\"'<>`") {
		set[b] = true
	}
	return set
}()
