package trace

// tokenPrefixes begin the tokens that GitLab hands out; what follows one is hidden. Source: GitLab Runner documentation,
// FF_MASK_ALL_DEFAULT_TOKENS.
var tokenPrefixes = []string{
	personalPrefix, "gloas-", "gldt-", "glrt-", "glcbt-", "glrtr-", "glptt-", "glft-", "glimt-", "glagent-", "glsoat-", "glffct-",
	"_gitlab_session=", "gltok-",
}

// personalPrefix is hidden even without FF_MASK_ALL_DEFAULT_TOKENS.
const personalPrefix = "glpat-"

// tokenMask hides what follows a token prefix, as far as the characters of a token go: glpat-abc becomes glpat-[MASKED]. It holds
// nothing back.
type tokenMask struct {
	prefixes *matcher // nil finds none
	state    int32
	mode     tokenMode
}

type tokenMode int

const (
	tokenSearch tokenMode = iota
	tokenBegins           // a prefix has just ended
	tokenHidden           // inside a hidden token
)

func (t *tokenMask) write(dst, p []byte) []byte {
	if t.prefixes == nil {
		return append(dst, p...)
	}
	for i := 0; i < len(p); {
		switch t.mode {
		case tokenSearch:
			end, state, length := t.prefixes.next(p, i, t.state)
			dst = append(dst, p[i:end]...)
			i, t.state = end, state
			if length > 0 {
				t.mode = tokenBegins
			}
		case tokenBegins:
			t.mode = tokenSearch
			if isToken[p[i]] {
				dst = append(dst, masked...)
				t.mode, t.state = tokenHidden, 0
			}
		case tokenHidden:
			for i < len(p) && isToken[p[i]] {
				i++
			}
			if i < len(p) {
				t.mode = tokenSearch
			}
		}
	}
	return dst
}

// isToken has the characters that a token consists of.
var isToken = func() (set [256]bool) {
	for b := range set {
		c := byte(b)
		set[b] = '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '-' || c == '.' || c == '_' || c == '='
	}
	return set
}()
