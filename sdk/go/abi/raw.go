package abi

// Raw is a JSON value of any type, which is passed on as it is. Its zero value stands for null, and for a value that is absent. Its
// methods look into it without encoding/json; each is one pass over the value.
type Raw []byte

// MarshalJSON returns r itself, or null when r is empty.
func (r Raw) MarshalJSON() ([]byte, error) {
	if len(r) == 0 {
		return []byte("null"), nil
	}
	return r, nil
}

// UnmarshalJSON keeps a copy of data, nothing of a null.
func (r *Raw) UnmarshalJSON(data []byte) error {
	*r = append((*r)[:0], data...)
	if string(data) == "null" {
		*r = nil
	}
	return nil
}

// Field returns the value at the end of a path of names in objects: Field("limits", "daily") of {"limits":{"daily":5}} is 5. It is empty
// when there is none. Of two values with one name it is the last.
func (r Raw) Field(path ...string) Raw {
	value := r
	for _, name := range path {
		var found Raw
		value.each('{', func(key string, v *reader) {
			if key == name {
				found = v.raw()
			} else {
				v.skip()
			}
		})
		value = found
	}
	return value
}

// Names returns the names in an object in the order in which they come, nil of any other value.
func (r Raw) Names() []string {
	var names []string
	r.each('{', func(key string, v *reader) {
		names = append(names, key)
		v.skip()
	})
	return names
}

// Items returns the values of a list, nil of any other value.
func (r Raw) Items() []Raw {
	var items []Raw
	r.each('[', func(_ string, v *reader) { items = append(items, v.raw()) })
	return items
}

// Text returns a string; false when r is none.
func (r Raw) Text() (string, bool) { return scalar(r, (*reader).string) }

// Int returns an integer; false when r is none, has a fraction or an exponent, or does not fit.
func (r Raw) Int() (int, bool) { return scalar(r, (*reader).int) }

// Float returns a number; false when r is none or does not fit.
func (r Raw) Float() (float64, bool) { return scalar(r, (*reader).float) }

// Bool returns true or false as its first value; its second is false when r is neither.
func (r Raw) Bool() (value, ok bool) { return scalar(r, (*reader).bool) }

// scalar reads the whole of r; null is nothing.
func scalar[T any](r Raw, read func(*reader) T) (T, bool) {
	var zero T
	in := reader{in: string(r)}
	if in.peek() == 'n' {
		return zero, false
	}
	value := read(&in)
	if in.end() != nil {
		return zero, false
	}
	return value, true
}

// each calls read at each item of an object ('{') or a list ('['); read must consume the item.
func (r Raw) each(bracket byte, read func(key string, in *reader)) {
	in := reader{in: string(r)}
	for more := in.open(bracket); more; more = in.more(bracket) {
		key := ""
		if bracket == '{' {
			key = in.key()
		}
		read(key, &in)
	}
}
