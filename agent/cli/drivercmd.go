package cli

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/supervisor"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func (a *app) driverCommand() *cobra.Command {
	c := &cobra.Command{Use: "driver", Short: "Look at machine drivers and their options", Args: noArgs}
	c.AddCommand(a.moduleLs(abi.KindDriver), a.driverOptions(), a.driverCheck(), a.moduleNew(abi.KindDriver), a.moduleInspect(abi.KindDriver), a.driverTest(), a.moduleRollback(abi.KindDriver))
	return c
}

// driversHere lists the drivers that an agent would have.
func (a *app) driversHere(c *cobra.Command, stateDir string) (list supervisor.ModuleList, err error) {
	path, _ := c.Flags().GetString("config")
	drivers, err := supervisor.OpenDrivers(existing(filepath.Join(stateDir, supervisor.ModuleCache)))
	if err != nil {
		return list, err
	}
	defer drivers.Close(c.Context())
	log := a.quietLogger()
	if err := drivers.UseFolder(c.Context(), a.operator(path, log), log); err != nil {
		return list, err
	}
	return drivers.List(), nil
}

func (a *app) driverOptions() *cobra.Command {
	c := &cobra.Command{
		Use: "options NAME", Aliases: []string{"describe"}, Short: "List a driver's options, for MachineOptions", Args: oneArg("the driver's name, as MachineDriver gives it"),
	}
	path, stateDir := configFlag(c), stateDirFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		drivers, err := supervisor.OpenDrivers(existing(filepath.Join(*stateDir, supervisor.ModuleCache)))
		if err != nil {
			return err
		}
		defer drivers.Close(c.Context())
		log := a.quietLogger()
		if err := drivers.UseFolder(c.Context(), a.operator(*path, log), log); err != nil {
			return err
		}
		d, err := drivers.Describe(args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(d.Options)
		}
		fmt.Fprintf(a.out, "%s (%s): %s\n\n", d.Name, drivers.Form(args[0]), cmp.Or(d.Summary, "it says nothing of itself"))
		w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "OPTION\tTYPE\tENV\tDEFAULT\tHELP")
		for _, o := range d.Options {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", o.Name, optionType(o), dash(o.Env), dash(o.Default), o.Help)
		}
		return w.Flush()
	}
	return c
}

func optionType(o abi.Option) string {
	words := []string{string(o.Type)}
	if o.Required {
		words = append(words, "required")
	}
	if o.Secret {
		words = append(words, "secret")
	}
	return strings.Join(words, ", ")
}
